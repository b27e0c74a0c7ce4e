/* Files of ConfigMap, Secret, downward API and projected volumes. */
#include <stdio.h>

#include "agent/pod/podspec.h"

#define MODE_DEFAULT 0644

struct file_list {
    struct arena *arena;
    struct volume_file *items;
    unsigned count, cap;
};

/* A later file of the same path replaces the earlier one (projected volumes). */
static void add_file(struct file_list *l, const char *path, struct str content, int64_t mode)
{
    struct volume_file file = {path, content, (uint32_t)mode & 0777};
    for (unsigned i = 0; i < l->count; i++) {
        if (strcmp(l->items[i].path, path) == 0) {
            l->items[i] = file;
            return;
        }
    }
    if (l->count == l->cap) {
        unsigned cap = l->cap == 0 ? 8 : l->cap * 2;
        struct volume_file *items = arena_alloc(l->arena, cap * sizeof *items);
        if (l->count > 0) {
            memcpy(items, l->items, l->count * sizeof *items);
        }
        l->items = items;
        l->cap = cap;
    }
    l->items[l->count++] = file;
}

static struct str content_of(struct mp v)
{
    struct str s = mp_str(v);
    if (s.p == NULL && !mp_read_bin(&v, &s)) {
        return STR_NONE;
    }
    return s;
}

static struct mp data_of(const struct object *o, struct str key)
{
    struct mp v = mp_get_str_key(mp_get(object_mp(o), "data"), key);
    return mp_type(v) != MP_NONE ? v : mp_get_str_key(mp_get(object_mp(o), "binaryData"), key);
}

static void add_all(struct file_list *l, struct mp data, int64_t mode)
{
    for (struct mp_iter it = mp_iter(data); mp_next(&it);) {
        add_file(l, arena_strndup(l->arena, it.key.p, it.key.n), content_of(it.value), mode);
    }
}

/* source: the volume's or projection's own member, with items and optional. */
static int add_object(struct file_list *l, const struct podspec *s, const struct podspec_facts *f, enum kind_id kind,
                      struct str name, struct mp source, int64_t mode, struct error *err)
{
    bool optional = mp_bool(mp_get(source, "optional"), false);
    const char *word = kind == KIND_SECRET ? "secret" : "configmap";
    const struct object *o = refs_get(f->refs, kind, str_of(s->ns), name);
    if (o == NULL) {
        if (!refs_synced(f->refs)) {
            return error_set(err, ERR_BUSY, "%s \"%.*s\" is not known yet", word, STR_ARG(name));
        }
        return optional ? 0 : error_set(err, ERR_NOT_FOUND, "%s \"%.*s\" not found", word, STR_ARG(name));
    }
    struct mp items = mp_get(source, "items");
    if (mp_count(items) == 0) {
        add_all(l, mp_get(object_mp(o), "data"), mode);
        add_all(l, mp_get(object_mp(o), "binaryData"), mode);
        return 0;
    }
    for (struct mp_iter it = mp_iter(items); mp_next(&it);) {
        struct str key = mp_str(mp_get(it.value, "key")), path = mp_str(mp_get(it.value, "path"));
        struct mp v = data_of(o, key);
        if (mp_type(v) == MP_NONE) {
            if (optional) {
                continue;
            }
            return error_set(err, ERR_NOT_FOUND, "references non-existent %s key: %.*s", word, STR_ARG(key));
        }
        add_file(l, arena_strndup(l->arena, path.p, path.n), content_of(v), mp_int(mp_get(it.value, "mode"), mode));
    }
    return 0;
}

static int add_downward(struct file_list *l, const struct podspec *s, const struct podspec_facts *f, struct mp items,
                        int64_t mode, struct error *err)
{
    for (struct mp_iter it = mp_iter(items); mp_next(&it);) {
        struct str path = mp_str(mp_get(it.value, "path"));
        struct mp field = mp_get(it.value, "fieldRef"), resource = mp_get(it.value, "resourceFieldRef");
        const char *text = "";
        int rv = mp_type(field) == MP_MAP
                     ? podspec_field(s, f, mp_str(mp_get(field, "fieldPath")), l->arena, &text, err)
                     : podspec_resource_field(s, NULL, f, resource, l->arena, &text, err);
        if (rv != 0) {
            return rv;
        }
        add_file(l, arena_strndup(l->arena, path.p, path.n), str_of(text), mp_int(mp_get(it.value, "mode"), mode));
    }
    return 0;
}

static int add_projected(struct file_list *l, const struct podspec *s, const struct podspec_facts *f, struct mp sources,
                         int64_t mode, bool *secret, struct error *err)
{
    for (struct mp_iter it = mp_iter(sources); mp_next(&it);) {
        struct mp m;
        int rv;
        if (mp_type(m = mp_get(it.value, "configMap")) == MP_MAP) {
            rv = add_object(l, s, f, KIND_CONFIGMAP, mp_str(mp_get(m, "name")), m, mode, err);
        } else if (mp_type(m = mp_get(it.value, "secret")) == MP_MAP) {
            *secret = true;
            rv = add_object(l, s, f, KIND_SECRET, mp_str(mp_get(m, "name")), m, mode, err);
        } else if (mp_type(m = mp_get(it.value, "downwardAPI")) == MP_MAP) {
            rv = add_downward(l, s, f, mp_get(m, "items"), mode, err);
        } else {
            rv = error_set_field(err, ERR_UNSUPPORTED, "projected.sources",
                                 "unsupported source (configMap, secret and downwardAPI can be projected)");
        }
        if (rv != 0) {
            return rv;
        }
    }
    return 0;
}

int podspec_volume_files(const struct podspec *s, const struct podspec_volume *v, const struct podspec_facts *f,
                         struct arena *a, struct volume_file **files, unsigned *count, bool *secret, struct error *err)
{
    struct file_list l = {.arena = a};
    int64_t mode = mp_int(mp_get(v->source, "defaultMode"), MODE_DEFAULT);
    int rv = 0;
    *secret = v->kind == PODSPEC_VOLUME_SECRET;
    switch (v->kind) {
    case PODSPEC_VOLUME_CONFIG_MAP:
        rv = add_object(&l, s, f, KIND_CONFIGMAP, mp_str(mp_get(v->source, "name")), v->source, mode, err);
        break;
    case PODSPEC_VOLUME_SECRET:
        rv = add_object(&l, s, f, KIND_SECRET, mp_str(mp_get(v->source, "secretName")), v->source, mode, err);
        break;
    case PODSPEC_VOLUME_DOWNWARD:
        rv = add_downward(&l, s, f, mp_get(v->source, "items"), mode, err);
        break;
    case PODSPEC_VOLUME_PROJECTED:
        rv = add_projected(&l, s, f, mp_get(v->source, "sources"), mode, secret, err);
        break;
    default:
        rv = error_set(err, ERR_UNSUPPORTED, "volume \"%s\": unsupported volume type %s", v->name, v->source_name);
    }
    if (rv == 0 && l.count > VOLUME_FILES_MAX) {
        rv = error_set(err, ERR_LIMIT, "volume \"%s\" has %u files (at most %u)", v->name, l.count, VOLUME_FILES_MAX);
    }
    *files = l.items;
    *count = l.count;
    return rv;
}
