/* The table of sources, and the files of those that are sets of files. */
#include "agent/pod/source.h"

#include <assert.h>
#include <string.h>

#define MODE_DEFAULT 0644

static const struct source *const sources[] = {
#define SOURCE_ROW(name) &source_##name,
    SOURCES(SOURCE_ROW)
#undef SOURCE_ROW
};

const struct source *source_find(struct str name)
{
    for (unsigned i = 0; i < ARRAY_SIZE(sources); i++) {
        if (str_is(name, sources[i]->name)) {
            assert(sources[i]->files == NULL || sources[i]->mount == NULL);
            assert(sources[i]->files != NULL || sources[i]->mount != NULL || sources[i]->project != NULL);
            return sources[i];
        }
    }
    return NULL;
}

struct volume_file *source_add_file(struct source_files *l, const char *path, struct str content, int64_t mode)
{
    struct volume_file file = {.path = path, .content = content, .mode = (uint32_t)mode & 0777};
    for (unsigned i = 0; i < l->count; i++) {
        if (strcmp(l->items[i].path, path) == 0) {
            l->items[i] = file;
            return &l->items[i];
        }
    }
    l->items = arena_grow(l->arena, l->items, l->count, &l->cap, sizeof *l->items, 8);
    l->items[l->count] = file;
    return &l->items[l->count++];
}

int podspec_volume_files(const struct podspec *s, const struct podspec_volume *v, const struct podspec_facts *f,
                         struct arena *a, struct volume_file **files, unsigned *count, bool *secret, struct error *err)
{
    if (!source_is_files(v)) {
        return error_set(err, ERR_UNSUPPORTED, "volume \"%s\": unsupported volume type %s", v->name, v->source_name);
    }
    struct source_files l = {
        .spec = s, .facts = f, .arena = a, .mode = mp_int(mp_get(v->source, "defaultMode"), MODE_DEFAULT)};
    int rv = v->how->files(&l, v->source, err);
    if (rv == 0 && l.count > VOLUME_FILES_MAX) {
        rv = error_set(err, ERR_LIMIT, "volume \"%s\" has %u files (at most %u)", v->name, l.count, VOLUME_FILES_MAX);
    }
    *files = l.items;
    *count = l.count;
    *secret = l.secret;
    return rv;
}
