/* Which registries a node may ask, and as whom. */
#include "agent/image/registry.h"

#include <stdio.h>
#include <stdlib.h>

#include "agent/util/fsutil.h"
#include "base/mem.h"
#include "proto/text/text.h"

#define FILE_MAX_BYTES (1u << 20)
#define HOSTS_MAX      64u
#define LOGINS_MAX     64u
#define DOCKER_HUB     "docker.io"

static char *own(struct str s)
{
    return s.n == 0 ? NULL : xstrndup(s.p, s.n);
}

static void wipe_text(char *text)
{
    if (text != NULL) {
        mem_wipe(text, strlen(text));
        free(text);
    }
}

/* ---- Logins ---- */

void registry_logins_free(struct registry_login *list, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        free(list[i].host);
        wipe_text(list[i].user);
        wipe_text(list[i].password);
    }
    free(list);
}

/* "https://index.docker.io/v1/" is what docker writes for docker.io; others stand with or without a scheme and path. */
static struct str host_of(struct str key)
{
    static const struct str schemes[] = {{"https://", 8}, {"http://", 7}};
    for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
        if (str_starts(key, schemes[i])) {
            key.p += schemes[i].n;
            key.n -= schemes[i].n;
        }
    }
    const char *slash = key.n == 0 ? NULL : memchr(key.p, '/', key.n);
    key.n = slash == NULL ? key.n : (size_t)(slash - key.p);
    bool hub = str_is(key, "index.docker.io") || str_is(key, "registry-1.docker.io");
    return hub ? STR(DOCKER_HUB) : key;
}

static void add_login(struct str host, struct str user, struct str password, struct registry_login **list,
                      unsigned *count)
{
    *list = xrealloc(*list, (*count + 1) * sizeof **list);
    (*list)[(*count)++] = (struct registry_login){own(host), own(user), own(password)};
}

static int read_login(struct str key, const struct value *entry, struct registry_login **list, unsigned *count,
                      struct error *err)
{
    struct str host = host_of(key), user = value_to_str(value_get(entry, "username")),
               password = value_to_str(value_get(entry, "password")), auth = value_to_str(value_get(entry, "auth"));
    if (host.n == 0 || *count == LOGINS_MAX) {
        return 0;
    }
    if (user.n > 0 && password.n > 0) {
        add_login(host, user, password, list, count);
        return 0;
    }
    if (auth.n == 0) {
        return 0; /* kept by a helper of docker's, which is not asked */
    }
    struct buf plain = BUF_INIT;
    int rc = 0;
    const char *colon = base64_read(&plain, auth) && plain.size > 0 ? memchr(plain.data, ':', plain.size) : NULL;
    if (colon == NULL || colon == (const char *)plain.data) {
        rc = error_set(err, ERR_INVALID, "auths[\"%.*s\"].auth is not USER:PASSWORD in base64", STR_ARG(key));
    } else {
        const char *start = (const char *)plain.data;
        struct str all = buf_str(&plain);
        add_login(host, (struct str){start, (size_t)(colon - start)},
                  (struct str){colon + 1, all.n - (size_t)(colon - start) - 1}, list, count);
    }
    buf_wipe(&plain);
    buf_close(&plain);
    return rc;
}

int registry_logins_read(struct str json, bool legacy, struct registry_login **list, unsigned *count, struct error *err)
{
    CLEANUP_ARENA_WIPE struct arena a;
    struct value *doc;
    struct error e = {0};
    arena_init(&a);
    if (json_read(&a, json, &doc, &e) != 0 || !value_is_map(doc)) {
        return error_set(err, ERR_INVALID, "credentials of registries are no JSON object"); /* no part of it is told */
    }
    const struct value *auths = legacy ? doc : value_get(doc, "auths");
    int rc = 0;
    for (unsigned i = 0; rc == 0 && value_is_map(auths) && i < value_count(auths); i++) {
        rc = read_login(auths->map.members[i].key, auths->map.members[i].value, list, count, err);
    }
    return rc;
}

/* ---- The node's file ---- */

static int bad(struct error *err, const char *path, unsigned i, const char *field, const char *why)
{
    return error_set_field(err, ERR_INVALID, "registries", "%s: registries[%u].%s: %s", path, i, field, why);
}

static bool is_mirror(struct str s)
{
    return (str_starts(s, STR("https://")) || str_starts(s, STR("http://"))) && s.n < 256 &&
           memchr(s.p, '@', s.n) == NULL && s.p[s.n - 1] != '/';
}

static int read_host(const char *path, unsigned i, const struct value *entry, struct registry_host *out,
                     struct error *err)
{
    static const char *const known[] = {"host", "mirrors", "caFile", "insecure"};
    const struct value *mirrors = value_get(entry, "mirrors"), *insecure = value_get(entry, "insecure");
    struct str host = value_to_str(value_get(entry, "host"));
    for (unsigned k = 0; value_is_map(entry) && k < value_count(entry); k++) {
        bool found = false;
        for (size_t j = 0; j < ARRAY_SIZE(known); j++) {
            found = found || str_is(entry->map.members[k].key, known[j]);
        }
        if (!found) {
            CLEANUP_FREE char *name = own(entry->map.members[k].key);
            return bad(err, path, i, name == NULL ? "" : name, "unknown field (host, mirrors, caFile, insecure)");
        }
    }
    if (host.n == 0 || memchr(host.p, '/', host.n) != NULL) {
        return bad(err, path, i, "host", "a host such as registry.example:5000 is needed, or \"*\" for all");
    }
    out->name = own(host);
    out->ca_file = own(value_to_str(value_get(entry, "caFile")));
    out->insecure = value_to_bool(insecure, false);
    if (!value_is_null(insecure) && insecure->type != VALUE_BOOL) {
        return bad(err, path, i, "insecure", "true or false");
    }
    if (!value_is_null(mirrors) && !value_is_list(mirrors)) {
        return bad(err, path, i, "mirrors", "a list is needed");
    }
    VALUE_FOR(k, mirrors)
    {
        struct str m = value_to_str(value_item(mirrors, k));
        if (k == REGISTRY_MIRRORS_MAX || !is_mirror(m)) {
            return bad(err, path, i, "mirrors", "at most eight, each as https://HOST[:PORT]");
        }
        out->mirrors[out->mirrors_count++] = own(m);
    }
    return 0;
}

int registry_config_read(const char *path, struct registry_config *out, struct error *err)
{
    CLEANUP_BUF struct buf text = BUF_INIT, logins = BUF_INIT;
    CLEANUP_ARENA struct arena a;
    struct value **docs;
    unsigned count = 0;
    *out = (struct registry_config){0};
    arena_init(&a);
    if (!fs_exists(path)) {
        return 0;
    }
    int rc = fs_read_file(path, FILE_MAX_BYTES, &text, err);
    rc = rc != 0 ? rc : yaml_read(&a, buf_str(&text), path, &docs, &count, err);
    const struct value *doc = rc == 0 && count > 0 ? docs[0] : NULL, *list = value_get(doc, "registries");
    if (rc == 0 && list != NULL && (!value_is_list(list) || value_count(list) > HOSTS_MAX)) {
        rc = error_set_field(err, ERR_INVALID, "registries", "%s: registries: a list of at most %u", path, HOSTS_MAX);
    }
    for (unsigned i = 0; rc == 0 && value_is_map(doc) && i < value_count(doc); i++) {
        struct str key = doc->map.members[i].key;
        if (!str_is(key, "registries") && !str_is(key, "credentialsFile")) {
            rc = error_set_field(err, ERR_INVALID, "registries",
                                 "%s: %.*s: unknown field (registries, credentialsFile)", path, STR_ARG(key));
        }
    }
    out->hosts = xcalloc(value_count(list) + 1, sizeof *out->hosts);
    for (unsigned i = 0; rc == 0 && i < value_count(list); i++) {
        rc = read_host(path, i, value_item(list, i), &out->hosts[out->hosts_count++], err);
    }
    struct str file = value_to_str(value_get(doc, "credentialsFile"));
    if (rc == 0 && file.n > 0) {
        out->credentials_file = own(file);
        rc = fs_read_file(out->credentials_file, FILE_MAX_BYTES, &logins, err);
        rc = rc != 0 ? rc : registry_logins_read(buf_str(&logins), false, &out->logins, &out->logins_count, err);
        if (rc != 0) {
            error_wrap(err, "%s", out->credentials_file);
        }
        buf_wipe(&logins);
    }
    if (rc != 0) {
        registry_config_close(out);
    }
    return rc;
}

void registry_config_close(struct registry_config *c)
{
    for (unsigned i = 0; i < c->hosts_count; i++) {
        struct registry_host *h = &c->hosts[i];
        for (unsigned k = 0; k < h->mirrors_count; k++) {
            free(h->mirrors[k]);
        }
        free(h->name);
        free(h->ca_file);
    }
    free(c->hosts);
    registry_logins_free(c->logins, c->logins_count);
    free(c->credentials_file);
    *c = (struct registry_config){0};
}

const struct registry_host *registry_host_of(const struct registry_config *c, struct str host)
{
    const struct registry_host *any = NULL;
    for (unsigned i = 0; i < c->hosts_count; i++) {
        if (str_is(host, c->hosts[i].name)) {
            return &c->hosts[i];
        }
        any = strcmp(c->hosts[i].name, "*") == 0 ? &c->hosts[i] : any;
    }
    return any;
}
