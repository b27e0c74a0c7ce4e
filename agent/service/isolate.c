#include "agent/service/isolate.h"

struct isolating {
    const struct isolate_ops *ops;
    unsigned refused;
};

static int halve(struct isolating *i, const struct nft_change *list, unsigned count, struct error *err)
{
    const struct isolate_ops *ops = i->ops;
    int rc = ops->apply(list, count, err, ops->data);
    if (rc == 0) {
        ops->done(count, ops->data);
    } else if (count > 1) {
        unsigned half = count / 2;
        rc = halve(i, list, half, err);
        rc = rc != 0 ? rc : halve(i, list + half, count - half, err);
    } else {
        ops->refused(list, err, ops->data);
        rc = ++i->refused < ISOLATE_REFUSED_MAX ? 0 : rc;
    }
    return rc;
}

int isolate_apply(const struct isolate_ops *ops, const struct nft_change *list, unsigned count, struct error *err)
{
    struct isolating i = {.ops = ops};
    return count == 0 ? 0 : halve(&i, list, count, err);
}
