/* emptyDir: a directory that lives as long as the pod is on its node, on the disk or in memory. */
#include "agent/pod/source.h"
#include "proto/model/quantity.h"

static bool in_memory(struct mp source)
{
    return str_is(mp_str(mp_get(source, "medium")), "Memory");
}

static bool on_disk(struct mp source)
{
    return !in_memory(source);
}

/* In memory nobody can write more than the pod may have: a full one is told, and nobody is killed for it. */
static int mount(const struct source_mount *m, char path[VOLUME_PATH_MAX], struct error *err)
{
    const struct podspec_volume *v = m->volume;
    struct str size = mp_str(mp_get(v->source, "sizeLimit"));
    int64_t asked = 0;
    if (size.p != NULL && !quantity_units(size, &asked)) {
        asked = 0;
    }
    bool memory = in_memory(v->source);
    uint64_t limit = (uint64_t)asked, most = m->memory_bytes;
    limit = memory && most > 0 && (limit == 0 || limit > most) ? most : limit;
    return volume_empty_dir(m->store, m->spec->uid, v->name, memory, limit, m->spec->fs_group, path, err);
}

const struct source source_empty_dir = {
    .name = "emptyDir",
    .mount = mount,
    .on_disk = on_disk,
    .scratch = true,
};
