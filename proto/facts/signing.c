#include "proto/facts/signing.h"

#include "proto/facts/condition.h"

bool signing_is_of_kubelets(struct str signer)
{
    return str_is(signer, SIGNER_NODE_CLIENT) || str_is(signer, SIGNER_NODE_SERVING);
}

bool signing_client_usages(struct mp usages)
{
    bool client = false;
    for (struct mp_iter it = mp_iter(usages); mp_next(&it);) {
        struct str usage = mp_str(it.value);
        client |= str_is(usage, "client auth");
        if (!str_is(usage, "client auth") && !str_is(usage, "digital signature") &&
            !str_is(usage, "key encipherment")) {
            return false;
        }
    }
    return client;
}

bool signing_has(const struct object *o, const char *condition)
{
    return mp_type(condition_mp(o, condition)) == MP_MAP;
}

struct str signing_certificate(const struct object *o)
{
    struct mp m = mp_path(object_mp(o), "status.certificate");
    struct str pem = STR_NONE;
    return mp_read_bin(&m, &pem) ? pem : STR_NONE;
}
