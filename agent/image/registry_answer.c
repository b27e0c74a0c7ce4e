#include "agent/image/registry_answer.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <strings.h>

#include "base/mem.h"
#include "proto/text/text.h"

/* ---- Challenges ---- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* key=token or key="quoted"; false at the end, and at what is neither. */
static bool next_parameter(struct str *rest, struct str *key, char *value, size_t size)
{
    size_t i = 0, n = 0;
    while (i < rest->n && (is_blank(rest->p[i]) || rest->p[i] == ',')) {
        i++;
    }
    size_t start = i;
    while (i < rest->n && rest->p[i] != '=' && rest->p[i] != ',' && !is_blank(rest->p[i])) {
        i++;
    }
    *key = (struct str){rest->p + start, i - start};
    if (i == rest->n || rest->p[i] != '=' || key->n == 0) {
        return false; /* another scheme, or the end */
    }
    bool quoted = ++i < rest->n && rest->p[i] == '"';
    i += quoted;
    for (; i < rest->n && (quoted ? rest->p[i] != '"' : rest->p[i] != ',' && !is_blank(rest->p[i])); i++) {
        if (quoted && rest->p[i] == '\\' && i + 1 < rest->n) {
            i++;
        }
        if (n < size) {
            value[n] = rest->p[i];
        }
        n++;
    }
    if (quoted && i == rest->n) {
        return false; /* no end */
    }
    i += quoted;
    value[n < size ? n : 0] = '\0'; /* too long: as if it were not told */
    *rest = (struct str){rest->p + i, rest->n - i};
    return true;
}

void registry_challenge_read(struct str header, struct registry_challenge *out)
{
    char value[REGISTRY_PARAMETER_MAX];
    struct str key, rest = header;
    size_t i = 0;
    *out = (struct registry_challenge){0};
    while (i < rest.n && is_blank(rest.p[i])) {
        i++;
    }
    size_t start = i;
    while (i < rest.n && !is_blank(rest.p[i]) && rest.p[i] != ',') {
        i++;
    }
    struct str scheme = {rest.p + start, i - start};
    if (scheme.n == 6 && strncasecmp(scheme.p, "Bearer", 6) == 0) {
        out->scheme = REGISTRY_SCHEME_BEARER;
    } else if (scheme.n == 5 && strncasecmp(scheme.p, "Basic", 5) == 0) {
        out->scheme = REGISTRY_SCHEME_BASIC;
    }
    rest = (struct str){rest.p + i, rest.n - i};
    while (out->scheme != REGISTRY_SCHEME_NONE && next_parameter(&rest, &key, value, sizeof value)) {
        char *to = key.n == 5 && strncasecmp(key.p, "realm", 5) == 0     ? out->realm
                   : key.n == 7 && strncasecmp(key.p, "service", 7) == 0 ? out->service
                                                                         : NULL;
        if (to != NULL && to[0] == '\0') { /* the first one counts */
            memcpy(to, value, strlen(value) + 1);
        }
    }
}

static bool add_query(CURLU *u, const char *key, const char *value)
{
    CLEANUP_FREE char *query = xasprintf("%s=%s", key, value);
    return curl_url_set(u, CURLUPART_QUERY, query, CURLU_APPENDQUERY | CURLU_URLENCODE) == CURLUE_OK;
}

static bool has_login(CURLU *u)
{
    static const CURLUPart parts[] = {CURLUPART_USER, CURLUPART_PASSWORD};
    bool found = false;
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        char *text = NULL;
        found = curl_url_get(u, parts[i], &text, 0) == CURLUE_OK || found;
        curl_free(text);
    }
    return found;
}

char *registry_token_url(const struct registry_challenge *c, const char *name)
{
    bool web = strncasecmp(c->realm, "https://", 8) == 0 || strncasecmp(c->realm, "http://", 7) == 0;
    CURLU *u = web ? curl_url() : NULL;
    if (u == NULL) {
        return NULL;
    }
    char *text = NULL, *out = NULL;
    CLEANUP_FREE char *scope = xasprintf("repository:%s:pull", name);
    if (curl_url_set(u, CURLUPART_URL, c->realm, 0) == CURLUE_OK && !has_login(u) &&
        (c->service[0] == '\0' || add_query(u, "service", c->service)) && add_query(u, "scope", scope) &&
        curl_url_get(u, CURLUPART_URL, &text, 0) == CURLUE_OK) {
        out = xstrdup(text);
    }
    curl_free(text);
    curl_url_cleanup(u);
    return out;
}

/* ---- Tokens ---- */

static bool is_token(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] <= ' ' || s.p[i] > '~') {
            return false;
        }
    }
    return s.n > 0 && s.n <= REGISTRY_TOKEN_MAX;
}

int registry_token_read(struct str json, char **out, struct error *err)
{
    CLEANUP_ARENA_WIPE struct arena a;
    struct value *doc = NULL;
    arena_init(&a);
    *out = NULL;
    if (json_read(&a, json, &doc, NULL) == 0) {
        struct str token = value_to_str(value_get(doc, "token"));
        token = token.n > 0 ? token : value_to_str(value_get(doc, "access_token"));
        if (is_token(token)) {
            *out = xstrndup(token.p, token.n);
            return 0;
        }
    }
    return error_set(err, ERR_PROTOCOL, "there is no token in the answer");
}

/* ---- Manifests ---- */

bool registry_platform_choose(const struct value *list, const char *arch, struct str *digest)
{
    char hex[IMAGE_HEX_SIZE];
    for (unsigned i = 0; value_is_list(list) && i < MIN(value_count(list), REGISTRY_ENTRIES_MAX); i++) {
        const struct value *entry = value_item(list, i);
        *digest = value_to_str(value_get(entry, "digest"));
        if (str_is(value_path_str(entry, "platform.architecture"), arch) &&
            str_is(value_path_str(entry, "platform.os"), "linux") && image_digest_hex(*digest, hex)) {
            return true;
        }
    }
    return false;
}

static int read_layer(const struct value *layer, const struct value *diff, struct registry_layer *out,
                      struct error *err)
{
    int64_t size = value_to_int(value_get(layer, "size"), -1);
    if (!image_digest_hex(value_to_str(value_get(layer, "digest")), out->hex) || size < 0) {
        return error_set(err, ERR_PROTOCOL, "a layer has no sha256 digest or no size");
    }
    if ((uint64_t)size > REGISTRY_LAYER_MAX) {
        return error_set(err, ERR_TOO_LARGE, "a layer has %lld bytes; at most %llu are taken", (long long)size,
                         REGISTRY_LAYER_MAX);
    }
    out->size_bytes = (uint64_t)size;
    if (!image_digest_hex(value_to_str(diff), out->diff_hex)) {
        out->diff_hex[0] = '\0'; /* what is unpacked is held against the config, and will not fit */
    }
    return 0;
}

int registry_layers_read(struct arena *a, const struct value *manifest, const struct value *config,
                         struct registry_layer **out, unsigned *count, struct error *err)
{
    const struct value *layers = value_get(manifest, "layers"), *diffs = value_path(config, "rootfs.diff_ids");
    uint64_t all_bytes = 0;
    unsigned n = value_count(layers);
    if (!value_is_list(layers) || value_is_map(diffs) || n != value_count(diffs) || n > IMAGE_LAYERS_MAX) {
        return error_set(err, ERR_PROTOCOL, "the manifest has %u layers, the config %u (at most %u)", n,
                         value_count(diffs), IMAGE_LAYERS_MAX);
    }
    struct registry_layer *list = arena_alloc(a, (n + 1) * sizeof *list);
    for (unsigned i = 0; i < n; i++) {
        int rc = read_layer(value_item(layers, i), value_item(diffs, i), &list[i], err);
        if (rc != 0) {
            return rc;
        }
        all_bytes += list[i].size_bytes;
    }
    if (all_bytes > REGISTRY_IMAGE_MAX) {
        return error_set(err, ERR_TOO_LARGE, "the image has %llu bytes; at most %llu are taken",
                         (unsigned long long)all_bytes, REGISTRY_IMAGE_MAX);
    }
    *out = list;
    *count = n;
    return 0;
}
