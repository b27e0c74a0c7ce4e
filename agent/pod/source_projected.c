/* projected: several sources in one directory. */
#include "agent/pod/source.h"

static const struct source *find(struct mp part, struct mp *source)
{
    for (struct mp_iter it = mp_iter(part); mp_next(&it);) {
        const struct source *s = mp_type(it.value) == MP_MAP ? source_find(it.key) : NULL;
        if (s != NULL && s->project != NULL) {
            *source = it.value;
            return s;
        }
    }
    return NULL;
}

static int files(struct source_files *l, struct mp source, struct error *err)
{
    int rv = 0;
    for (struct mp_iter it = mp_iter(mp_get(source, "sources")); rv == 0 && mp_next(&it);) {
        struct mp part;
        const struct source *s = find(it.value, &part);
        rv = s != NULL
                 ? s->project(l, part, err)
                 : error_set_field(
                       err, ERR_UNSUPPORTED, "projected.sources",
                       "unsupported source (configMap, secret, downwardAPI and serviceAccountToken can be projected)");
    }
    return rv;
}

const struct source source_projected = {
    .name = "projected",
    .files = files,
};
