#include "agent/pod/threshold.h"

#include <string.h>

#include "base/mem.h"
#include "proto/model/quantity.h"

void thresholds_default(struct thresholds *t)
{
    *t = (struct thresholds){
        .memory = {false, 100ll << 20},
        .disk = {true, 10},
        .pids = {true, 10},
    };
}

static bool read_amount(struct str s, struct threshold *out)
{
    if (s.n > 1 && s.p[s.n - 1] == '%') {
        out->is_percent = true;
        return str_to_int64((struct str){s.p, s.n - 1}, &out->amount) && out->amount >= 0 && out->amount <= 100;
    }
    out->is_percent = false;
    return quantity_units(s, &out->amount) && out->amount >= 0;
}

int thresholds_parse(struct str text, struct thresholds *t, struct error *err)
{
    const struct {
        struct str name;
        struct threshold *at;
    } known[] = {
        {STR("memory.available"), &t->memory}, {STR("nodefs.available"), &t->disk}, {STR("pid.available"), &t->pids}};
    while (text.n > 0) {
        const char *comma = memchr(text.p, ',', text.n);
        struct str one = {text.p, comma == NULL ? text.n : (size_t)(comma - text.p)};
        const char *less = one.n == 0 ? NULL : memchr(one.p, '<', one.n);
        struct threshold *at = NULL, value;
        struct str name = {one.p, less == NULL ? one.n : (size_t)(less - one.p)};
        for (unsigned i = 0; i < ARRAY_SIZE(known); i++) {
            at = str_eq(name, known[i].name) ? known[i].at : at;
        }
        if (at == NULL) {
            return error_set(err, ERR_INVALID,
                             "\"%.*s\": a node knows memory.available, nodefs.available and pid.available",
                             STR_ARG(name));
        }
        if (less == NULL || !read_amount((struct str){less + 1, (size_t)(one.p + one.n - less - 1)}, &value)) {
            return error_set(err, ERR_INVALID,
                             "\"%.*s\": NAME<AMOUNT is needed, as in memory.available<100Mi, or <10%%", STR_ARG(one));
        }
        *at = value;
        size_t used = one.n + (comma != NULL);
        text = (struct str){text.p + used, text.n - used};
    }
    return 0;
}

int64_t threshold_of(const struct threshold *t, int64_t all)
{
    return t->is_percent ? all / 100 * t->amount + all % 100 * t->amount / 100 : t->amount;
}
