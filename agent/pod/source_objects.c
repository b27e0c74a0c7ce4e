/* configMap, secret: entries of an object as files, which follow its changes. */
#include "agent/pod/source.h"

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

static void add_all(struct source_files *l, struct mp data)
{
    for (struct mp_iter it = mp_iter(data); mp_next(&it);) {
        source_add_file(l, arena_strndup(l->arena, it.key.p, it.key.n), content_of(it.value), l->mode);
    }
}

/* source: the volume's or projection's own member, with items and optional. */
static int add_object(struct source_files *l, enum kind_id kind, struct str name, struct mp source, struct error *err)
{
    bool optional = mp_bool(mp_get(source, "optional"), false);
    const char *word = kind == KIND_SECRET ? "secret" : "configmap";
    const struct object *o = refs_get(l->facts->refs, kind, str_of(l->spec->ns), name);
    if (o == NULL) {
        if (!refs_synced(l->facts->refs)) {
            return error_set(err, ERR_BUSY, "%s \"%.*s\" is not known yet", word, STR_ARG(name));
        }
        return optional ? 0 : error_set(err, ERR_NOT_FOUND, "%s \"%.*s\" not found", word, STR_ARG(name));
    }
    struct mp items = mp_get(source, "items");
    if (mp_count(items) == 0) {
        add_all(l, mp_get(object_mp(o), "data"));
        add_all(l, mp_get(object_mp(o), "binaryData"));
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
        source_add_file(l, arena_strndup(l->arena, path.p, path.n), content_of(v),
                        mp_int(mp_get(it.value, "mode"), l->mode));
    }
    return 0;
}

static int config_map_files(struct source_files *l, struct mp source, struct error *err)
{
    return add_object(l, KIND_CONFIGMAP, mp_str(mp_get(source, "name")), source, err);
}

/* A volume says secretName, a part of a projected volume name. */
static int secret_files(struct source_files *l, struct mp source, struct error *err)
{
    l->secret = true;
    return add_object(l, KIND_SECRET, mp_str(mp_get(source, "secretName")), source, err);
}

static int secret_project(struct source_files *l, struct mp source, struct error *err)
{
    l->secret = true;
    return add_object(l, KIND_SECRET, mp_str(mp_get(source, "name")), source, err);
}

const struct source source_config_map = {
    .name = "configMap",
    .files = config_map_files,
    .project = config_map_files,
};

const struct source source_secret = {
    .name = "secret",
    .files = secret_files,
    .project = secret_project,
};
