/* hostPath: a file or directory of the node. */
#include "agent/pod/source.h"

static int mount(const struct source_mount *m, char path[VOLUME_PATH_MAX], struct error *err)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct mp source = m->volume->source;
    struct str host = mp_str(mp_get(source, "path")), type = mp_str(mp_get(source, "type"));
    return volume_host_path(m->store, arena_strndup(&a, host.p, host.n), arena_strndup(&a, type.p, type.n), path, err);
}

const struct source source_host_path = {
    .name = "hostPath",
    .mount = mount,
    .foreign = true,
};
