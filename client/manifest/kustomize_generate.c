/* configMapGenerator and secretGenerator. The hash behind a name is kustomize's: the first ten hexadecimal digits of
 * SHA-256 over {binaryData?, data, kind, name} (Secrets: {data, kind, name, type}) as Go writes JSON, with 0 1 3 a e
 * as g h k m t. */
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "client/manifest/keyfile.h"
#include "client/manifest/kustomize_int.h"
#include "proto/text/text.h"

struct generator {
    struct kustomization *k;
    const struct value *row;
    bool secret;
    struct value *doc;
};

static int add_pair(struct generator *g, const struct value *where, struct str key, struct str bytes, struct error *err)
{
    struct arena *a = g->k->a;
    if (key.n == 0) {
        return kfail(g->k, where, err, "KEY=VALUE is expected, not \"%.*s\"", STR_ARG(value_to_str(where)));
    }
    if (value_get_str_key(value_get(g->doc, "data"), key) != NULL ||
        value_get_str_key(value_get(g->doc, "binaryData"), key) != NULL) {
        return kfail(g->k, where, err, "the key \"%.*s\" is given twice", STR_ARG(key));
    }
    bool text = !g->secret && keyfile_is_text(bytes);
    struct value *map = value_ensure_map(a, g->doc, g->secret || text ? "data" : "binaryData");
    CLEANUP_BUF struct buf b = BUF_INIT;
    if (text) {
        buf_append(&b, bytes.p, bytes.n);
    } else {
        base64_write(&b, bytes.p, bytes.n);
    }
    value_set_str_key(a, map, key, value_str(a, buf_str(&b)));
    return 0;
}

/* KEY=VALUE; quotes around the value are taken off. */
static int add_literal(struct generator *g, const struct value *v, struct error *err)
{
    struct str s = value_to_str(v);
    const char *eq = s.n == 0 ? NULL : memchr(s.p, '=', s.n);
    if (eq == NULL) {
        return add_pair(g, v, STR_NONE, STR_NONE, err);
    }
    struct str key = {s.p, (size_t)(eq - s.p)}, val = {eq + 1, s.n - key.n - 1};
    if (val.n >= 2 && val.p[0] == val.p[val.n - 1] && (val.p[0] == '"' || val.p[0] == '\'')) {
        val = (struct str){val.p + 1, val.n - 2};
    }
    return add_pair(g, v, key, val, err);
}

/* [KEY=]PATH */
static int add_file(struct generator *g, const struct value *v, struct error *err)
{
    struct str s = value_to_str(v), path = s, text;
    const char *eq = s.n == 0 ? NULL : memchr(s.p, '=', s.n);
    if (eq != NULL) {
        path = (struct str){eq + 1, s.n - (size_t)(eq + 1 - s.p)};
    }
    struct value *named = value_str(g->k->a, path);
    named->line = v->line;
    named->column = v->column;
    int rc = kread(g->k, named, &text, err);
    const char *slash = path.n == 0 ? NULL : memrchr(path.p, '/', path.n);
    struct str key = eq != NULL      ? (struct str){s.p, (size_t)(eq - s.p)}
                     : slash == NULL ? path
                                     : (struct str){slash + 1, path.n - (size_t)(slash + 1 - path.p)};
    return rc != 0 ? rc : add_pair(g, v, key, text, err);
}

struct env_pair {
    struct generator *g;
    const struct value *where;
};

static int env_pair(struct str key, struct str value, void *data, struct error *err)
{
    struct env_pair *p = data;
    return add_pair(p->g, p->where, key, value, err);
}

static int add_env(struct generator *g, const struct value *v, struct error *err)
{
    struct str text;
    struct env_pair p = {g, v};
    int rc = kread(g->k, v, &text, err);
    return rc != 0 ? rc
                   : keyfile_env(text, arena_strndup(g->k->a, value_to_str(v).p, value_to_str(v).n), env_pair, &p, err);
}

static int add_data(struct generator *g, struct error *err)
{
    static const struct {
        const char *field;
        int (*add)(struct generator *g, const struct value *v, struct error *err);
    } sources[] = {{"envs", add_env}, {"env", add_env}, {"files", add_file}, {"literals", add_literal}};
    int rc = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(sources); i++) {
        const struct value *v = value_get(g->row, sources[i].field);
        if (value_is_str(v)) {
            rc = sources[i].add(g, v, err);
        }
        for (unsigned n = 0; value_is_list(v) && n < value_count(v) && rc == 0; n++) {
            rc = sources[i].add(g, value_item(v, n), err);
        }
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

static void merge_map(struct arena *a, struct value *into, const struct value *from)
{
    for (unsigned i = 0; value_is_map(from) && i < from->map.count; i++) {
        value_set_str_key(a, into, from->map.members[i].key, value_copy(a, from->map.members[i].value));
    }
}

/* generatorOptions, then the generator's own. */
static void add_options(struct generator *g, const struct value *options, bool *hash)
{
    static const char *const maps[] = {"labels", "annotations"};
    struct arena *a = g->k->a;
    for (unsigned i = 0; i < 2; i++) {
        if (value_count(value_get(options, maps[i])) > 0) {
            merge_map(a, value_ensure_map(a, value_ensure_map(a, g->doc, "metadata"), maps[i]),
                      value_get(options, maps[i]));
        }
    }
    if (value_to_bool(value_get(options, "immutable"), false)) {
        value_set(a, g->doc, "immutable", value_bool(a, true));
    }
    if (value_to_bool(value_get(options, "disableNameSuffixHash"), false)) {
        *hash = false;
    }
}

static int check_row(const struct generator *g, struct error *err)
{
    static const char known[] = " name namespace behavior files literals envs env options type ";
    if (!value_is_map(g->row) || value_to_str(value_get(g->row, "name")).n == 0) {
        return kfail(g->k, g->row, err, "a generator is a map with a name");
    }
    for (unsigned i = 0; i < g->row->map.count; i++) {
        struct str key = g->row->map.members[i].key;
        char word[64];
        snprintf(word, sizeof(word), " %.*s ", STR_ARG(key));
        if (strstr(known, word) == NULL) {
            return kfail(g->k, g->row->map.members[i].value, err, "a generator has no field \"%.*s\"", STR_ARG(key));
        }
    }
    return 0;
}

/* behavior merge and replace change what a base has generated. */
static int put_in_place(struct generator *g, bool hash, struct error *err)
{
    struct str behavior = value_to_str(value_get(g->row, "behavior"));
    struct kset *set = &g->k->set;
    struct str name = kres_name(&(struct kres){.doc = g->doc});
    if (behavior.n == 0 || str_is(behavior, "create") || str_is(behavior, "unspecified")) {
        kset_add(g->k->a, set, (struct kres){.doc = g->doc, .hash = hash});
        return 0;
    }
    if (!str_is(behavior, "merge") && !str_is(behavior, "replace")) {
        return kfail(g->k, value_get(g->row, "behavior"), err, "behavior is create, merge or replace");
    }
    for (unsigned i = 0; i < set->count; i++) {
        struct kres *r = &set->items[i];
        if (!str_eq(kres_kind(r), value_to_str(value_get(g->doc, "kind"))) || !kres_was_named(r, name)) {
            continue;
        }
        static const char *const data[] = {"data", "binaryData"};
        for (unsigned d = 0; d < 2; d++) {
            if (str_is(behavior, "replace")) {
                value_remove(r->doc, data[d]);
            }
            if (value_count(value_get(g->doc, data[d])) > 0) {
                merge_map(g->k->a, value_ensure_map(g->k->a, r->doc, data[d]), value_get(g->doc, data[d]));
            }
        }
        static const char *const meta[] = {"labels", "annotations"};
        for (unsigned d = 0; d < 2; d++) {
            const struct value *more = value_get(value_get(g->doc, "metadata"), meta[d]);
            if (value_count(more) > 0) {
                merge_map(g->k->a, value_ensure_map(g->k->a, value_get(r->doc, "metadata"), meta[d]), more);
            }
        }
        return 0;
    }
    return kfail(g->k, g->row, err, "behavior %.*s: no %s \"%.*s\" comes from a base", STR_ARG(behavior),
                 g->secret ? "Secret" : "ConfigMap", STR_ARG(name));
}

static int generate_one(struct kustomization *k, const struct value *row, bool secret, struct error *err)
{
    struct arena *a = k->a;
    struct generator g = {k, row, secret, value_map(a)};
    int rc = check_row(&g, err);
    if (rc != 0) {
        return rc;
    }
    value_set(a, g.doc, "apiVersion", value_cstr(a, "v1"));
    value_set(a, g.doc, "kind", value_cstr(a, secret ? "Secret" : "ConfigMap"));
    struct value *meta = value_ensure_map(a, g.doc, "metadata");
    value_set(a, meta, "name", value_copy(a, value_get(row, "name")));
    if (value_to_str(value_get(row, "namespace")).n > 0) {
        value_set(a, meta, "namespace", value_copy(a, value_get(row, "namespace")));
    }
    if (secret) {
        struct str type = value_to_str(value_get(row, "type"));
        value_set(a, g.doc, "type", type.n > 0 ? value_str(a, type) : value_cstr(a, "Opaque"));
    }
    bool hash = true;
    add_options(&g, value_get(k->doc, "generatorOptions"), &hash);
    add_options(&g, value_get(row, "options"), &hash);
    rc = add_data(&g, err);
    return rc != 0 ? rc : put_in_place(&g, hash, err);
}

int kustomize_generate(struct kustomization *k, struct error *err)
{
    static const char *const fields[] = {"configMapGenerator", "secretGenerator"};
    int rc = 0;
    for (unsigned f = 0; f < 2; f++) {
        const struct value *list = value_get(k->doc, fields[f]);
        if (!value_is_null(list) && !value_is_list(list)) {
            return kfail(k, list, err, "%s is a list", fields[f]);
        }
        for (unsigned i = 0; i < value_count(list) && rc == 0; i++) {
            rc = generate_one(k, value_item(list, i), f == 1, err);
        }
    }
    return rc;
}

/* ---- The hash ---- */

/* Go escapes what HTML could misread. */
static void escape_html(struct buf *out, struct str json)
{
    for (size_t i = 0; i < json.n; i++) {
        char c = json.p[i];
        if (c == '<' || c == '>' || c == '&') {
            buf_printf(out, "\\u%04x", c);
        } else {
            buf_putc(out, c);
        }
    }
}

void kustomize_name_hash(struct arena *a, const struct value *doc, char out[KUSTOMIZE_HASH_SIZE])
{
    struct value *m = value_map(a);
    bool secret = str_is(value_to_str(value_get(doc, "kind")), "Secret");
    value_set(a, m, "kind", value_copy(a, value_get(doc, "kind")));
    value_set(a, m, "name", value_str(a, value_path_str(doc, "metadata.name")));
    const struct value *data = value_get(doc, "data");
    value_set(a, m, "data", data != NULL ? value_copy(a, data) : value_cstr(a, ""));
    if (secret) {
        value_set(a, m, "type", value_copy(a, value_get(doc, "type")));
    } else if (value_is_map(value_get(doc, "binaryData"))) {
        value_set(a, m, "binaryData", value_copy(a, value_get(doc, "binaryData")));
    }
    CLEANUP_BUF struct buf json = BUF_INIT;
    CLEANUP_BUF struct buf safe = BUF_INIT;
    json_write_canonical(&json, m);
    escape_html(&safe, buf_str(&json));
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)safe.data, safe.size, digest);
    for (unsigned i = 0; i < 10; i++) {
        char c = "0123456789abcdef"[(digest[i / 2] >> (i % 2 == 0 ? 4 : 0)) & 15];
        out[i] = c == '0' ? 'g' : c == '1' ? 'h' : c == '3' ? 'k' : c == 'a' ? 'm' : c == 'e' ? 't' : c;
    }
    out[10] = '\0';
}

void kustomize_hash(struct kustomization *k)
{
    for (unsigned i = 0; i < k->set.count; i++) {
        struct kres *r = &k->set.items[i];
        if (r->hash) {
            char hash[KUSTOMIZE_HASH_SIZE];
            kustomize_name_hash(k->a, r->doc, hash);
            kres_rename(k->a, r, str_of(arena_printf(k->a, "%.*s-%s", STR_ARG(kres_name(r)), hash)));
        }
    }
}
