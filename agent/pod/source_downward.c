/* downwardAPI: facts about the pod as files. */
#include "agent/pod/source.h"

static int files(struct source_files *l, struct mp source, struct error *err)
{
    for (struct mp_iter it = mp_iter(mp_get(source, "items")); mp_next(&it);) {
        struct str path = mp_str(mp_get(it.value, "path"));
        struct mp field = mp_get(it.value, "fieldRef"), resource = mp_get(it.value, "resourceFieldRef");
        const char *text = "";
        int rv = mp_type(field) == MP_MAP
                     ? podspec_field(l->spec, l->facts, mp_str(mp_get(field, "fieldPath")), l->arena, &text, err)
                     : podspec_resource_field(l->spec, NULL, l->facts, resource, l->arena, &text, err);
        if (rv != 0) {
            return rv;
        }
        source_add_file(l, arena_strndup(l->arena, path.p, path.n), str_of(text),
                        mp_int(mp_get(it.value, "mode"), l->mode));
    }
    return 0;
}

const struct source source_downward = {
    .name = "downwardAPI",
    .files = files,
    .project = files,
};
