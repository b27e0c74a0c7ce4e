/* ConfigMap and Secret: maps of files and settings for pods. */
#include "proto/describe/parts.h"
#include "proto/facts/account.h"
#include "proto/kinds/kinds.h"
#include "proto/schema/object.h"
#include "proto/text/text.h"

#define CONFIG_SIZE_MAX (1u << 20) /* all values together, as in Kubernetes */

/* clang-format off */
SCHEMA_STATIC(configmap, "ConfigMap", "Settings and files for pods.",
    TYPE_META,
    BOOLEAN("immutable", "Entries can never change again; only deleting is left.", NUMBER(4)),
    STRING_MAP("data", "Entries of text by key.", NUMBER(2)),
    BYTES_MAP("binaryData", "Entries of any bytes by key; base64 in manifests."));

SCHEMA_STATIC(secret, "Secret", "Passwords, keys and the like for pods. Encrypted on the masters' disks.",
    TYPE_META,
    BOOLEAN("immutable", "Entries can never change again; only deleting is left.", NUMBER(5)),
    BYTES_MAP("data", "Entries by key; base64 in manifests.", .flags = FIELD_SECRET, NUMBER(2)),
    STRING_MAP("stringData", "Entries as plain text, for writing: they go into data.", .flags = FIELD_SECRET,
               NUMBER(4)),
    STRING("type", "What the entries are for. Cannot change.", DEFAULT("Opaque"), NUMBER(3)));
/* clang-format on */

/* Plain text goes into data, where it wins. */
static void secret_fill(struct arena *a, struct value *obj)
{
    struct value *text = value_get(obj, "stringData");
    if (text == NULL) {
        return;
    }
    for (unsigned i = 0; i < value_count(text); i++) {
        struct str s = value_to_str(text->map.members[i].value);
        value_set_str_key(a, value_ensure_map(a, obj, "data"), text->map.members[i].key, value_bin(a, s.p, s.n));
    }
    value_remove(obj, "stringData");
}

/* Adds the sizes of the entries of one map. */
static size_t check_entries(const struct value *obj, const char *member, struct errlist *l)
{
    const struct value *map = value_get(obj, member);
    size_t size = 0;
    for (unsigned i = 0; i < value_count(map); i++) {
        const struct value_member *m = &map->map.members[i];
        size += m->value->str.n;
        if (!name_is_config_key(m->key)) {
            /* The entry itself may be secret: only its key is shown. */
            errlist_add(l, ERROR_CAUSE_INVALID, m->value, fpath_text(l->arena, FPATH_KEY(FPATH(member), m->key)),
                        "Invalid value: \"%.*s\": a key " NAME_CONFIG_KEY_WHY, STR_ARG(m->key));
        }
    }
    return size;
}

static void check_size(size_t size, const struct value *obj, struct errlist *l)
{
    if (size > CONFIG_SIZE_MAX) {
        errlist_add(l, ERROR_CAUSE_TOO_LONG, value_get(obj, "data"), "data",
                    "Too long: may not be more than %u bytes, has %zu", CONFIG_SIZE_MAX, size);
    }
}

static void check_frozen(const struct value *obj, const struct value *old, const char *const *members, unsigned count,
                         struct errlist *l)
{
    if (!value_to_bool(value_get(old, "immutable"), false)) {
        return;
    }
    if (!value_to_bool(value_get(obj, "immutable"), false)) {
        bad_forbidden(l, value_get(obj, "immutable"), FPATH("immutable"), "field is immutable when `immutable` is set");
    }
    for (unsigned i = 0; i < count; i++) {
        const struct value *now = value_get(obj, members[i]), *before = value_get(old, members[i]);
        if (value_count(now) + value_count(before) > 0 && !value_equal(now, before)) {
            bad_forbidden(l, now, FPATH(members[i]), "field is immutable when `immutable` is set");
        }
    }
}

static void configmap_validate(const struct value *obj, const struct value *old, struct errlist *l)
{
    static const char *const frozen[] = {"data", "binaryData"};
    size_t size = check_entries(obj, "data", l) + check_entries(obj, "binaryData", l);
    check_size(size, obj, l);
    const struct value *binary = value_get(obj, "binaryData");
    for (unsigned i = 0; i < value_count(binary); i++) {
        if (value_get_str_key(value_get(obj, "data"), binary->map.members[i].key) != NULL) {
            bad_value(l, value_str(l->arena, binary->map.members[i].key),
                      FPATH_KEY(FPATH("data"), binary->map.members[i].key), "the key is in binaryData as well");
        }
    }
    check_frozen(obj, old, frozen, ARRAY_SIZE(frozen), l);
}

/* ---- Secret types: which entries they need ---- */

static const struct {
    const char *type;
    const char *all[2]; /* each of them */
    const char *any[2]; /* at least one of them */
    bool filled;        /* the entry may not be empty */
    bool json;          /* the entry is a JSON object */
} SECRET_TYPES[] = {
    {"kubernetes.io/dockercfg", {".dockercfg"}, {NULL}, false, true},
    {"kubernetes.io/dockerconfigjson", {".dockerconfigjson"}, {NULL}, false, true},
    {"kubernetes.io/basic-auth", {NULL}, {"username", "password"}, false, false},
    {"kubernetes.io/ssh-auth", {"ssh-privatekey"}, {NULL}, true, false},
    {"kubernetes.io/tls", {"tls.crt", "tls.key"}, {NULL}, false, false},
};

static bool is_json_object(struct arena *a, struct str text)
{
    struct value *v;
    return json_read(a, text, &v, NULL) == 0 && value_is_map(v);
}

static void check_secret_type(const struct value *obj, struct errlist *l)
{
    const struct value *data = value_get(obj, "data");
    struct str type = value_to_str(value_get(obj, "type"));
    for (unsigned i = 0; i < ARRAY_SIZE(SECRET_TYPES); i++) {
        if (!str_is(type, SECRET_TYPES[i].type)) {
            continue;
        }
        for (unsigned j = 0; j < 2 && SECRET_TYPES[i].all[j] != NULL; j++) {
            const struct value *entry = value_get(data, SECRET_TYPES[i].all[j]);
            const struct fpath *at = FPATH_KEY(FPATH("data"), str_of(SECRET_TYPES[i].all[j]));
            if (entry == NULL || (SECRET_TYPES[i].filled && entry->str.n == 0)) {
                bad_required(l, data, at);
            } else if (SECRET_TYPES[i].json && !is_json_object(l->arena, entry->str)) {
                errlist_add(l, ERROR_CAUSE_INVALID, entry, fpath_text(l->arena, at),
                            "Invalid value: (secret): must be a JSON object");
            }
        }
        const char *const *any = SECRET_TYPES[i].any;
        if (any[0] != NULL && value_get(data, any[0]) == NULL && value_get(data, any[1]) == NULL) {
            bad_required(l, data, FPATH_KEY(FPATH("data"), str_of(any[0])));
            bad_required(l, data, FPATH_KEY(FPATH("data"), str_of(any[1])));
        }
    }
    if (str_is(type, SECRET_TOKEN_TYPE) &&
        value_to_str(value_get(value_at(obj, "metadata", "annotations", NULL), SECRET_TOKEN_ACCOUNT)).n == 0) {
        bad_required(l, value_get(obj, "metadata"),
                     FPATH_KEY(FPATH("metadata.annotations"), STR(SECRET_TOKEN_ACCOUNT)));
    }
}

static void secret_validate(const struct value *obj, const struct value *old, struct errlist *l)
{
    static const char *const frozen[] = {"data"};
    check_size(check_entries(obj, "data", l), obj, l);
    check_secret_type(obj, l);
    if (old != NULL) {
        check_immutable(l, value_get(obj, "type"), value_get(old, "type"), FPATH("type"));
    }
    check_frozen(obj, old, frozen, ARRAY_SIZE(frozen), l);
}

/* A token in a Secret is one of an account. */
static void secret_references(const struct object *o, kind_reference_cb *cb, void *data)
{
    struct str account = str_is(mp_str(mp_get(object_mp(o), "type")), SECRET_TOKEN_TYPE)
                             ? object_annotation(o, SECRET_TOKEN_ACCOUNT)
                             : STR_NONE;
    if (name_is_key(account)) {
        cb(data, &(struct kind_reference){
                     .kind = kind_by_id(KIND_SERVICEACCOUNT), .ns = o->ns, .name = account, .use = REFERENCE_TARGET});
    }
}

/* ---- Columns ---- */

static void cell_data(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    buf_printf(out, "%u", mp_count(mp_get(object_mp(o), "data")) + mp_count(mp_get(object_mp(o), "binaryData")));
}

static void cell_type(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    cell_str(out, mp_get(object_mp(o), "type"));
}

static const struct column configmap_columns[] = {
    {.title = "NAME"},
    {.title = "DATA", .cell = cell_data, .value = COLUMN_PLAIN},
    {.title = "AGE"},
};

static const struct column secret_columns[] = {
    {.title = "NAME"},
    {.title = "TYPE", .cell = cell_type},
    {.title = "DATA", .cell = cell_data, .value = COLUMN_PLAIN},
    {.title = "AGE"},
};

static void describe_configmap(struct buf *out, const struct object *o, const struct describe_context *c)
{
    describe_head(out, o, 14);
    buf_puts(out, "\nData\n====\n");
    for (struct mp_iter it = mp_iter(mp_get(object_mp(o), "data")); mp_next(&it);) {
        struct str v = mp_str(it.value);
        buf_printf(out, "%.*s:\n----\n%.*s\n\n", STR_ARG(it.key), STR_ARG(v));
    }
    buf_puts(out, "BinaryData\n====\n");
    for (struct mp_iter it = mp_iter(mp_get(object_mp(o), "binaryData")); mp_next(&it);) {
        struct str v;
        struct mp m = it.value;
        buf_printf(out, "%.*s: %zu bytes\n", STR_ARG(it.key), mp_read_bin(&m, &v) ? v.n : 0);
    }
    buf_putc(out, '\n');
    describe_events(out, c);
}

/* Sizes only: a Secret's content must not be read by somebody who looks at the screen. */
static void describe_secret(struct buf *out, const struct object *o, const struct describe_context *c)
{
    describe_head(out, o, 14);
    buf_putc(out, '\n');
    describe_text(out, 0, 6, "Type:", mp_str(mp_get(object_mp(o), "type")));
    buf_puts(out, "\nData\n====\n");
    for (struct mp_iter it = mp_iter(mp_get(object_mp(o), "data")); mp_next(&it);) {
        struct str v;
        struct mp m = it.value;
        size_t n = mp_read_bin(&m, &v) ? v.n : mp_str(it.value).n;
        buf_printf(out, "%.*s:  %zu bytes\n", STR_ARG(it.key), n);
    }
    if (c->events.count > 0) {
        buf_putc(out, '\n');
        describe_events(out, c);
    }
}

const struct kind kind_configmap = {
    .id = KIND_CONFIGMAP,
    .name = "ConfigMap",
    .api_version = "v1",
    .plural = "configmaps",
    .singular = "configmap",
    .short_names = "cm",
    .namespaced = true,
    .is_content = true,
    .schema = &configmap,
    .columns = configmap_columns,
    .columns_count = ARRAY_SIZE(configmap_columns),
    .validate = configmap_validate,
    .describe = describe_configmap,
    .is_pruned = true,
};

const struct kind kind_secret = {
    .id = KIND_SECRET,
    .name = "Secret",
    .api_version = "v1",
    .plural = "secrets",
    .singular = "secret",
    .short_names = "",
    .namespaced = true,
    .secret = true,
    .is_content = true,
    .selectable = "type",
    .schema = &secret,
    .columns = secret_columns,
    .columns_count = ARRAY_SIZE(secret_columns),
    .validate = secret_validate,
    .fill = secret_fill,
    .doubt = secret_doubt,
    .references = secret_references,
    .describe = describe_secret,
    .is_pruned = true,
};
