/* hostPath: a file or directory of the node. */
#include "agent/pod/source.h"
#include "agent/util/fsutil.h"

int source_host_path_mount(const struct source_mount *m, struct mp source, char path[VOLUME_PATH_MAX],
                           struct error *err)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct str host = mp_str(mp_get(source, "path")), type = mp_str(mp_get(source, "type"));
    const char *at = arena_strndup(&a, host.p, host.n), *as = arena_strndup(&a, type.p, type.n);
    m->said->remote = at[0] == '/' && fs_is_remote(at);
    int rv = m->said->remote ? volume_host_path_aside(m->store, m->spec->uid, m->volume->name, at, as, path, err)
                             : volume_host_path(m->store, at, as, path, err);
    if (rv != ERR_NOT_FOUND) {
        return rv;
    }
    if (err != NULL) { /* nobody tells of its coming (source.h) */
        err->code = ERR_SYSTEM;
    }
    return ERR_SYSTEM;
}

static int mount(const struct source_mount *m, char path[VOLUME_PATH_MAX], struct error *err)
{
    return source_host_path_mount(m, m->volume->source, path, err);
}

const struct source source_host_path = {
    .name = "hostPath",
    .mount = mount,
    .foreign = true,
};
