/* nfs: a directory of an NFS server. */
#include "agent/pod/source.h"

int source_nfs_mount(const struct source_mount *m, struct mp source, const char *options, bool read_only,
                     char path[VOLUME_PATH_MAX], struct error *err)
{
    const struct volume_nfs n = {
        .server = mp_str(mp_get(source, "server")),
        .path = mp_str(mp_get(source, "path")),
        .options = options,
        .read_only = read_only || mp_bool(mp_get(source, "readOnly"), false),
    };
    if (m->spec->own_users) {
        return error_set(err, ERR_UNSUPPORTED, "a pod with hostUsers false cannot have volumes of an NFS server");
    }
    m->said->remote = true;
    m->said->read_only = n.read_only;
    return volume_nfs(m->store, m->spec->uid, m->volume->name, &n, path, err);
}

static int mount(const struct source_mount *m, char path[VOLUME_PATH_MAX], struct error *err)
{
    return source_nfs_mount(m, m->volume->source, "", false, path, err);
}

const struct source source_nfs = {
    .name = "nfs",
    .mount = mount,
    .scratch = true,
};
