#include "client/api/config.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "proto/pki/pki.h"
#include "proto/text/text.h"

static const char *find_path(struct arena *a, const char *path)
{
    if (path != NULL) {
        return path;
    }
    const char *env = getenv("REEVE_CONFIG");
    if (env != NULL && env[0] != '\0') {
        return env;
    }
    if (access("./.reeve/config", R_OK) == 0) {
        return "./.reeve/config";
    }
    const char *home = getenv("HOME");
    if (home != NULL) {
        const char *p = arena_printf(a, "%s/.reeve/config", home);
        if (access(p, R_OK) == 0) {
            return p;
        }
    }
    return NULL;
}

int config_load(struct arena *a, const char *path, struct config *out, struct error *err)
{
    const char *found = find_path(a, path);
    if (found == NULL) {
        return error_set(err, ERR_NOT_FOUND,
                         "no configuration: neither --config nor REEVE_CONFIG is set, and there is no ./.reeve/config "
                         "and no ~/.reeve/config; start a cluster with \"rctl up\", or name its file with --config");
    }
    char *text = NULL;
    size_t size = 0;
    int rc = pki_read_file(found, CONFIG_SIZE_MAX, &text, &size, err);
    if (rc != 0) {
        return error_wrap(err, "read configuration");
    }
    struct value **docs;
    unsigned count;
    rc = yaml_read(a, (struct str){text, size}, found, &docs, &count, err);
    pki_free_key(text);
    if (rc != 0) {
        return rc;
    }
    if (count != 1 || !value_is_map(docs[0])) {
        return error_set(err, ERR_INVALID, "%s: a configuration is one YAML map with clusters, users and contexts",
                         found);
    }
    out->path = arena_strdup(a, found);
    out->doc = docs[0];
    return 0;
}

const char *config_current(struct arena *a, const struct config *c)
{
    struct str s = value_to_str(value_get(c->doc, "current-context"));
    return s.n == 0 ? "" : arena_strndup(a, s.p, s.n);
}

/* The map under `inner` of the entry called name in list `outer`. */
static int find_entry(const struct config *c, const char *outer, const char *inner, struct str name, struct value **out,
                      struct error *err)
{
    struct value *entry = value_find(value_get(c->doc, outer), "name", name);
    *out = value_get(entry, inner);
    if (!value_is_map(*out)) {
        return error_set(err, ERR_NOT_FOUND,
                         "%s: there is no %s called \"%.*s\"; \"rctl config get-contexts\" lists them", c->path, inner,
                         STR_ARG(name));
    }
    return 0;
}

/* PEM text out of KEY-data (base64) or the file named by KEY. */
static int read_pem(struct arena *a, const struct config *c, const struct value *map, const char *key, const char **out,
                    struct error *err)
{
    struct str data = value_to_str(value_get(map, arena_printf(a, "%s-data", key)));
    if (data.n > 0) {
        CLEANUP_BUF struct buf pem = BUF_INIT;
        if (!base64_read(&pem, data)) {
            return error_set(err, ERR_INVALID, "%s: %s-data is not base64", c->path, key);
        }
        *out = arena_strndup(a, (const char *)pem.data, pem.size);
        memset(pem.data, 0, pem.size);
        return 0;
    }
    struct str file = value_to_str(value_get(map, key));
    if (file.n == 0) {
        return error_set(err, ERR_INVALID, "%s: neither %s-data nor %s is there", c->path, key, key);
    }
    const char *path = arena_strndup(a, file.p, file.n);
    const char *slash = strrchr(c->path, '/');
    if (path[0] != '/' && slash != NULL) {
        path = arena_printf(a, "%.*s/%s", (int)(slash - c->path), c->path, path);
    }
    char *text = NULL;
    size_t size = 0;
    int rc = pki_read_file(path, CONFIG_SIZE_MAX, &text, &size, err);
    if (rc != 0) {
        return error_wrap(err, "%s of %s", key, c->path);
    }
    *out = arena_strndup(a, text, size);
    pki_free_key(text);
    return 0;
}

/* "https://host:port/" -> "host:port"; a port is added if there is none. */
static const char *server_address(struct arena *a, struct str s)
{
    if (str_starts(s, STR("https://"))) {
        s.p += 8;
        s.n -= 8;
    }
    while (s.n > 0 && s.p[s.n - 1] == '/') {
        s.n--;
    }
    const char *colon = memrchr(s.p, ':', s.n);
    const char *bracket = memrchr(s.p, ']', s.n);
    if (colon == NULL || (bracket != NULL && colon < bracket)) {
        return arena_printf(a, "%.*s:7400", STR_ARG(s));
    }
    return arena_strndup(a, s.p, s.n);
}

static int read_servers(struct arena *a, const struct config *c, const struct value *cluster, struct config_target *out,
                        struct error *err)
{
    const struct value *servers = value_get(cluster, "servers");
    VALUE_FOR(i, servers)
    {
        struct str s = value_to_str(value_item(servers, i));
        if (s.n > 0 && out->servers_count < CONFIG_SERVERS_MAX) {
            out->servers[out->servers_count++] = server_address(a, s);
        }
    }
    struct str one = value_to_str(value_get(cluster, "server"));
    if (out->servers_count == 0 && one.n > 0) {
        out->servers[out->servers_count++] = server_address(a, one);
    }
    if (out->servers_count == 0) {
        return error_set(err, ERR_INVALID, "%s: cluster \"%s\" has no servers (servers: [host:port, ...])", c->path,
                         out->cluster);
    }
    return 0;
}

/* a,b */
static void choose_servers(struct arena *a, const char *text, struct config_target *out)
{
    char *save = NULL;
    for (char *p = strtok_r(arena_strdup(a, text), ",", &save); p != NULL; p = strtok_r(NULL, ",", &save)) {
        if (out->servers_count < CONFIG_SERVERS_MAX) {
            out->servers[out->servers_count++] = server_address(a, str_of(p));
        }
    }
}

int config_resolve(struct arena *a, const struct config *c, const char *context, struct config_target *out,
                   struct error *err)
{
    return config_resolve_choice(a, c, &(struct config_choice){.context = context}, out, err);
}

int config_resolve_choice(struct arena *a, const struct config *c, const struct config_choice *choice,
                          struct config_target *out, struct error *err)
{
    *out = (struct config_target){0};
    out->context = choice->context != NULL ? choice->context : config_current(a, c);
    if (out->context[0] == '\0') {
        return error_set(err, ERR_INVALID, "%s: no current-context; set one with \"rctl config use-context NAME\"",
                         c->path);
    }
    struct value *ctx, *cluster, *user;
    int rc = find_entry(c, "contexts", "context", str_of(out->context), &ctx, err);
    if (rc != 0) {
        return rc;
    }
    struct str cluster_name = value_to_str(value_get(ctx, "cluster"));
    struct str user_name = value_to_str(value_get(ctx, "user"));
    cluster_name = choice->cluster != NULL ? str_of(choice->cluster) : cluster_name;
    user_name = choice->user != NULL ? str_of(choice->user) : user_name;
    struct str ns = value_to_str(value_get(ctx, "namespace"));
    out->ns = ns.n > 0 ? arena_strndup(a, ns.p, ns.n) : "default";
    out->cluster = arena_strndup(a, cluster_name.n ? cluster_name.p : "", cluster_name.n);
    out->user = arena_strndup(a, user_name.n ? user_name.p : "", user_name.n);
    rc = find_entry(c, "clusters", "cluster", cluster_name, &cluster, err);
    if (rc == 0) {
        rc = find_entry(c, "users", "user", user_name, &user, err);
    }
    if (rc == 0 && choice->servers != NULL) {
        choose_servers(a, choice->servers, out);
    }
    if (rc == 0 && out->servers_count == 0) {
        rc = read_servers(a, c, cluster, out, err);
    }
    if (rc == 0) {
        rc = read_pem(a, c, cluster, "certificate-authority", &out->ca_pem, err);
    }
    if (rc == 0) {
        struct str refused = value_to_str(value_get(cluster, "refused-masters"));
        out->refused = refused.n == 0 ? "" : arena_strndup(a, refused.p, refused.n);
        rc = read_pem(a, c, user, "client-certificate", &out->cert_pem, err);
    }
    if (rc == 0) {
        rc = read_pem(a, c, user, "client-key", &out->key_pem, err);
    }
    return rc;
}

static struct value *base64_value(struct arena *a, const char *text);

static int write_doc(const char *path, const struct value *doc, struct error *err)
{
    CLEANUP_BUF struct buf text = BUF_INIT;
    yaml_write(&text, doc);
    int rc = pki_write_file(path, text.data, text.size, 0600, err);
    memset(text.data, 0, text.size);
    return rc;
}

int config_save(const struct config *c, struct error *err)
{
    return write_doc(c->path, c->doc, err);
}

int config_load_or_begin(struct arena *a, const char *path, struct config *out, struct error *err)
{
    struct error first = {0};
    int rc = config_load(a, path, out, &first);
    if (rc == 0) {
        return 0;
    }
    const char *env = getenv("REEVE_CONFIG"), *home = getenv("HOME");
    path = path != NULL ? path : env != NULL && env[0] != '\0' ? env : NULL;
    path = path != NULL ? path : home != NULL ? arena_printf(a, "%s/.reeve/config", home) : NULL;
    if (rc != ERR_NOT_FOUND || path == NULL) {
        *err = first;
        return rc;
    }
    *out = (struct config){.path = path, .doc = value_map(a)};
    value_set(a, out->doc, "apiVersion", value_cstr(a, "v1"));
    value_set(a, out->doc, "kind", value_cstr(a, "Config"));
    return 0;
}

struct value *config_entry(const struct config *c, const char *list, const char *name)
{
    return value_find(value_get(c->doc, list), "name", str_of(name));
}

struct value *config_ensure_entry(struct arena *a, struct config *c, const char *list, const char *inner,
                                  const char *name)
{
    struct value *entry = config_entry(c, list, name);
    if (entry == NULL) {
        entry = value_map(a);
        value_set(a, entry, "name", value_cstr(a, name));
        value_append(a, value_ensure_list(a, c->doc, list), entry);
    }
    return value_ensure_map(a, entry, inner);
}

bool config_remove_entry(struct config *c, const char *list, const char *name)
{
    struct value *entries = value_get(c->doc, list);
    VALUE_FOR(i, entries)
    {
        if (str_is(value_to_str(value_get(value_item(entries, i), "name")), name)) {
            value_remove_at(entries, i);
            return true;
        }
    }
    return false;
}

int config_flatten(struct arena *a, struct config *c, struct error *err)
{
    static const struct {
        const char *list, *inner, *key;
    } rows[] = {{"clusters", "cluster", "certificate-authority"},
                {"users", "user", "client-certificate"},
                {"users", "user", "client-key"}};
    for (unsigned k = 0; k < ARRAY_SIZE(rows); k++) {
        const struct value *entries = value_get(c->doc, rows[k].list);
        VALUE_FOR(i, entries)
        {
            struct value *inner = value_get(value_item(entries, i), rows[k].inner);
            const char *pem;
            if (value_to_str(value_get(inner, rows[k].key)).n == 0) {
                continue;
            }
            int rc = read_pem(a, c, inner, rows[k].key, &pem, err);
            if (rc != 0) {
                return rc;
            }
            value_set(a, inner, arena_printf(a, "%s-data", rows[k].key), base64_value(a, pem));
            value_remove(inner, rows[k].key);
        }
    }
    return 0;
}

static struct value *find_context(struct config *c, const char *context, struct error *err)
{
    const struct value *contexts = value_get(c->doc, "contexts");
    struct str wanted = context[0] != '\0' ? str_of(context) : value_path_str(c->doc, "current-context");
    struct value *entry = value_find(contexts, "name", wanted);
    if (entry == NULL) {
        CLEANUP_BUF struct buf names = BUF_INIT;
        VALUE_FOR(i, contexts)
        {
            struct str n = value_to_str(value_get(value_item(contexts, i), "name"));
            buf_printf(&names, "%s%.*s", names.size > 0 ? ", " : "", STR_ARG(n));
        }
        error_set(err, ERR_NOT_FOUND, "%s: there is no context called \"%s\"; there are: %s", c->path, context,
                  buf_cstr(&names));
    }
    return entry;
}

int config_use_context(struct arena *a, struct config *c, const char *context, struct error *err)
{
    if (find_context(c, context, err) == NULL) {
        return ERR_NOT_FOUND;
    }
    value_set(a, c->doc, "current-context", value_cstr(a, context));
    return write_doc(c->path, c->doc, err);
}

int config_set_servers(struct arena *a, struct config *c, const char *context, const char *const *servers,
                       unsigned count, struct error *err)
{
    assert(count > 0);
    struct value *entry = find_context(c, context, err);
    if (entry == NULL) {
        return ERR_NOT_FOUND;
    }
    struct str name = value_path_str(entry, "context.cluster");
    struct value *cluster = value_find(value_get(c->doc, "clusters"), "name", name), *list = value_list(a);
    if (cluster == NULL) {
        return error_set(err, ERR_INVALID, "%s: context \"%s\" names cluster \"%.*s\", which is not there", c->path,
                         context, STR_ARG(name));
    }
    for (unsigned i = 0; i < MIN(count, CONFIG_SERVERS_MAX); i++) {
        value_append(a, list, value_cstr(a, servers[i]));
    }
    struct value *inner = value_ensure_map(a, cluster, "cluster");
    value_set(a, inner, "servers", list);
    value_remove(inner, "server"); /* the other spelling, of one address */
    return write_doc(c->path, c->doc, err);
}

static struct value *base64_value(struct arena *a, const char *text)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    base64_write(&b, text, strlen(text));
    struct value *v = value_str(a, buf_str(&b));
    memset(b.data, 0, b.size);
    return v;
}

/* - name: NAME, INNER: {...}; returns the inner map. */
static struct value *add_entry(struct arena *a, struct value *doc, const char *outer, const char *inner,
                               const char *name)
{
    struct value *entry = value_map(a);
    value_set(a, entry, "name", value_cstr(a, name));
    value_append(a, value_ensure_list(a, doc, outer), entry);
    return value_ensure_map(a, entry, inner);
}

int config_write(const char *path, const struct config_target *target, const char *user, struct error *err)
{
    assert(target->servers_count > 0 && target->ca_pem != NULL && target->cert_pem != NULL && target->key_pem != NULL);
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct value *doc = value_map(&a);
    value_set(&a, doc, "apiVersion", value_cstr(&a, "v1"));
    value_set(&a, doc, "kind", value_cstr(&a, "Config"));
    value_set(&a, doc, "current-context", value_cstr(&a, target->context));
    struct value *cluster = add_entry(&a, doc, "clusters", "cluster", target->cluster);
    struct value *servers = value_ensure_list(&a, cluster, "servers");
    for (unsigned i = 0; i < target->servers_count; i++) {
        value_append(&a, servers, value_cstr(&a, target->servers[i]));
    }
    value_set(&a, cluster, "certificate-authority-data", base64_value(&a, target->ca_pem));
    struct value *u = add_entry(&a, doc, "users", "user", user);
    value_set(&a, u, "client-certificate-data", base64_value(&a, target->cert_pem));
    value_set(&a, u, "client-key-data", base64_value(&a, target->key_pem));
    struct value *ctx = add_entry(&a, doc, "contexts", "context", target->context);
    value_set(&a, ctx, "cluster", value_cstr(&a, target->cluster));
    value_set(&a, ctx, "user", value_cstr(&a, user));
    value_set(&a, ctx, "namespace", value_cstr(&a, target->ns == NULL ? "default" : target->ns));
    return write_doc(path, doc, err);
}

int config_check_replace(const struct config *c, const struct config_target *target, struct error *err)
{
    struct value *user;
    struct stat st;
    int rc = find_entry(c, "users", "user", str_of(target->user), &user, err);
    if (rc != 0) {
        return rc;
    }
    if (value_get(user, "client-certificate-data") == NULL || value_get(user, "client-key-data") == NULL) {
        return error_set(err, ERR_UNSUPPORTED,
                         "certificate and key of user \"%s\" are files of their own, which rctl does not write",
                         target->user);
    }
    char *path = realpath(c->path, NULL); /* through a link, not over it */
    CLEANUP_FREE char *real = path;
    if (path == NULL || stat(path, &st) != 0) {
        return error_set(err, ERR_UNSUPPORTED, "%s: %s", c->path, strerror(errno));
    }
    CLEANUP_FREE char *dir = xstrdup(path);
    *(strrchr(dir, '/') == dir ? dir + 1 : strrchr(dir, '/')) = '\0';
    if (st.st_uid != geteuid()) {
        return error_set(err, ERR_UNSUPPORTED, "%s belongs to another user", c->path);
    }
    if (access(path, W_OK) != 0 || access(dir, W_OK) != 0) {
        return error_set(err, ERR_UNSUPPORTED, "%s cannot be written: %s", c->path, strerror(errno));
    }
    return 0;
}

int config_replace_cert(const struct config *c, const struct config_target *target, const char *ca_pem,
                        const char *cert_pem, const char *key_pem, struct error *err)
{
    CLEANUP_ARENA struct arena a;
    struct config now;
    struct config_target same;
    struct value *user, *cluster = NULL;
    arena_init(&a);
    int rc = config_check_replace(c, target, err);
    rc = rc != 0 ? rc : config_load(&a, c->path, &now, err);
    rc = rc != 0 ? rc : config_resolve(&a, &now, target->context, &same, err);
    if (rc != 0) {
        return rc;
    }
    if (strcmp(same.user, target->user) != 0 || strcmp(same.cert_pem, target->cert_pem) != 0) {
        return error_set(err, ERR_CONFLICT, "%s: the certificate of user \"%s\" has been replaced meanwhile", c->path,
                         target->user);
    }
    rc = find_entry(&now, "users", "user", str_of(target->user), &user, err);
    if (rc != 0) {
        return rc;
    }
    value_set(&a, user, "client-certificate-data", base64_value(&a, cert_pem));
    value_set(&a, user, "client-key-data", base64_value(&a, key_pem));
    if (ca_pem != NULL && find_entry(&now, "clusters", "cluster", str_of(target->cluster), &cluster, NULL) == 0 &&
        value_get(cluster, "certificate-authority-data") != NULL) {
        value_set(&a, cluster, "certificate-authority-data", base64_value(&a, ca_pem));
    }
    CLEANUP_FREE char *real = realpath(c->path, NULL);
    return write_doc(real == NULL ? c->path : real, now.doc, err);
}

int config_set_refused(const struct config *c, const struct config_target *target, const char *refused,
                       struct error *err)
{
    CLEANUP_ARENA struct arena a;
    struct config now;
    struct value *cluster = NULL;
    arena_init(&a);
    int rc = config_check_replace(c, target, err);
    rc = rc != 0 ? rc : config_load(&a, c->path, &now, err);
    rc = rc != 0 ? rc : find_entry(&now, "clusters", "cluster", str_of(target->cluster), &cluster, err);
    if (rc != 0) {
        return rc;
    }
    value_set(&a, cluster, "refused-masters", value_cstr(&a, refused));
    CLEANUP_FREE char *real = realpath(c->path, NULL);
    return write_doc(real == NULL ? c->path : real, now.doc, err);
}

struct value *config_redacted(struct arena *a, const struct config *c)
{
    struct value *doc = value_copy(a, c->doc);
    const struct value *users = value_get(doc, "users");
    VALUE_FOR(i, users)
    {
        struct value *user = value_get(value_item(users, i), "user");
        if (value_get(user, "client-key-data") != NULL) {
            value_set(a, user, "client-key-data", value_cstr(a, "REDACTED"));
        }
        if (value_get(user, "client-certificate-data") != NULL) {
            value_set(a, user, "client-certificate-data", value_cstr(a, "DATA+OMITTED"));
        }
    }
    const struct value *clusters = value_get(doc, "clusters");
    VALUE_FOR(i, clusters)
    {
        struct value *cluster = value_get(value_item(clusters, i), "cluster");
        if (value_get(cluster, "certificate-authority-data") != NULL) {
            value_set(a, cluster, "certificate-authority-data", value_cstr(a, "DATA+OMITTED"));
        }
    }
    return doc;
}
