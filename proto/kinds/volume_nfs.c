/* nfs, of pods and of PersistentVolumes. */
#include "proto/kinds/volumes.h"

/* clang-format off */
SCHEMA(volume_schema_nfs, "NFSVolumeSource", "A directory of an NFS server.",
    STRING("server", "Name or address of the server.", REQUIRED),
    STRING("path", "Exported path.", REQUIRED),
    BOOLEAN("readOnly", "Mount it read-only.", ZERO));
/* clang-format on */

/* What the system's helper is called with: `SERVER:PATH` in one word, of which nothing is taken for an option. */
static bool is_server(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c <= ' ' || c > '~' || c == '/' || c == ',' || c == '\\' || (i == 0 && c == '-')) {
            return false;
        }
    }
    return s.n <= NAME_KEY_MAX;
}

static void check_nfs(const struct value *source, const struct volume_at *where, const struct fpath *p,
                      struct errlist *l)
{
    (void)where;
    const struct value *server = value_get(source, "server"), *path = value_get(source, "path");
    struct str s = value_to_str(path);
    if (!is_server(value_to_str(server))) {
        bad_value(l, server, FPATH_AT(p, "server"), "must be the name or address of a server");
    }
    if (s.n > 0 && s.p[0] != '/') {
        bad_value(l, path, FPATH_AT(p, "path"), "must be an absolute path");
    }
}

const struct volume_source volume_source_nfs = {.check = check_nfs};
