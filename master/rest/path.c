#include "master/rest/path.h"

#include <string.h>

#include "proto/http/http.h"

#define AUTHORIZATION "authorization.k8s.io/v1"

const struct rest_extra rest_extras[] = {
    {AUTHORIZATION, "SelfSubjectAccessReview", "selfsubjectaccessreviews", "selfsubjectaccessreview", "", false,
     REST_EXTRA_SELF_ACCESS, 0, "create"},
    {AUTHORIZATION, "SubjectAccessReview", "subjectaccessreviews", "subjectaccessreview", "", false, REST_EXTRA_ACCESS,
     0, "create"},
    {AUTHORIZATION, "LocalSubjectAccessReview", "localsubjectaccessreviews", "localsubjectaccessreview", "", true,
     REST_EXTRA_LOCAL_ACCESS, 0, "create"},
    {AUTHORIZATION, "SelfSubjectRulesReview", "selfsubjectrulesreviews", "selfsubjectrulesreview", "", false,
     REST_EXTRA_RULES, 0, "create"},
    {"authentication.k8s.io/v1", "SelfSubjectReview", "selfsubjectreviews", "selfsubjectreview", "", false,
     REST_EXTRA_WHOAMI, 0, "create"},
    {"authentication.k8s.io/v1", "TokenReview", "tokenreviews", "tokenreview", "", false, REST_EXTRA_TOKEN_REVIEW, 0,
     "create"},
    {"v1", "Binding", "bindings", "binding", "", true, REST_EXTRA_BIND, 0, "create"},
    {"v1", "ComponentStatus", "componentstatuses", "componentstatus", "cs", false, REST_EXTRA_COMPONENTS, 0,
     "get list"},
    {"metrics.k8s.io/v1beta1", "NodeMetrics", "nodes", "", "", false, REST_EXTRA_METRICS, KIND_NODE, "get list"},
    {"metrics.k8s.io/v1beta1", "PodMetrics", "pods", "", "", true, REST_EXTRA_METRICS, KIND_POD, "get list"},
};
const unsigned rest_extras_count = ARRAY_SIZE(rest_extras);

bool rest_extra_is_review(const struct rest_extra *x)
{
    return strcmp(x->verbs, "create") == 0;
}

struct str rest_group_of(const char *api_version)
{
    const char *slash = strchr(api_version, '/');
    return slash == NULL ? STR("") : (struct str){api_version, (size_t)(slash - api_version)};
}

struct str rest_version_of(const char *api_version)
{
    const char *slash = strchr(api_version, '/');
    return str_of(slash == NULL ? api_version : slash + 1);
}

const char *rest_kind_version(const struct kind *k, unsigned i)
{
    if (i == 0) {
        return k->api_version;
    }
    for (const struct kind_version *v = k->versions; v != NULL && v->api_version != NULL; v++) {
        if (!v->read_only && --i == 0) {
            return v->api_version;
        }
    }
    return NULL;
}

/* ---- Segments ---- */

struct segments {
    struct str at[REST_SEGMENTS_MAX];
    unsigned count;
};

static bool split(struct arena *a, struct str path, struct segments *s)
{
    s->count = 0;
    while (path.n > 0 && path.p[0] == '/') {
        path.p++;
        path.n--;
        const char *end = path.n == 0 ? NULL : memchr(path.p, '/', path.n);
        struct str one = {path.p, end == NULL ? path.n : (size_t)(end - path.p)};
        path.p += one.n;
        path.n -= one.n;
        if (one.n == 0) {
            return path.n == 0; /* nothing but at the end */
        }
        CLEANUP_BUF struct buf text = BUF_INIT;
        if (s->count == REST_SEGMENTS_MAX || !http_decode(&text, one, false) || memchr(text.data, '/', text.size)) {
            return false;
        }
        s->at[s->count++] = (struct str){arena_strndup(a, (const char *)text.data, text.size), text.size};
    }
    return path.n == 0;
}

static struct str segment(const struct segments *s, unsigned i)
{
    return i < s->count ? s->at[i] : STR("");
}

/* ---- What they name ---- */

static const struct kind *find_kind(struct str group, struct str version, struct str plural, const char **api_version)
{
    for (unsigned i = 0; i < kinds_count(); i++) {
        const struct kind *k = kinds_at(i);
        for (unsigned v = 0; str_is(plural, k->plural) && (*api_version = rest_kind_version(k, v)) != NULL; v++) {
            if (str_eq(rest_group_of(*api_version), group) && str_eq(rest_version_of(*api_version), version)) {
                return k;
            }
        }
    }
    return NULL;
}

static const struct rest_extra *find_extra(struct str group, struct str version, struct str plural)
{
    for (unsigned i = 0; i < rest_extras_count; i++) {
        const struct rest_extra *x = &rest_extras[i];
        if (str_is(plural, x->plural) && str_eq(rest_group_of(x->api_version), group) &&
            str_eq(rest_version_of(x->api_version), version)) {
            return x;
        }
    }
    return NULL;
}

/* Segments behind the version. */
static void read_objects(const struct segments *s, unsigned at, struct rest_path *p)
{
    if (str_is(segment(s, at), "watch")) {
        p->watch = true;
        at++;
    }
    struct str third = segment(s, at + 2);
    bool own_part = s->count == at + 3 && (str_is(third, "status") || str_is(third, "finalize"));
    if (str_is(segment(s, at), "namespaces") && s->count > at + 2 && !own_part) {
        p->has_ns = true;
        p->ns = segment(s, at + 1);
        at += 2;
    }
    p->plural = segment(s, at);
    p->name = segment(s, at + 1);
    p->part = segment(s, at + 2);
    p->kind = find_kind(p->group, p->version, p->plural, &p->api_version);
    p->extra = p->kind == NULL ? find_extra(p->group, p->version, p->plural) : NULL;
    bool namespaced = p->kind != NULL ? p->kind->namespaced : p->extra != NULL && p->extra->namespaced;
    bool fits = s->count <= at + 3 && (!p->has_ns || namespaced) && (p->name.n == 0 || p->has_ns == namespaced);
    if (fits && p->kind != NULL) {
        p->place = REST_OBJECTS;
    } else if (fits && p->extra != NULL && p->part.n == 0) {
        p->place = REST_REVIEW;
    }
}

static bool group_is_known(struct str group, struct str version)
{
    for (unsigned i = 0; i < kinds_count(); i++) {
        const char *v;
        for (unsigned n = 0; (v = rest_kind_version(kinds_at(i), n)) != NULL; n++) {
            if (str_eq(rest_group_of(v), group) && (version.n == 0 || str_eq(rest_version_of(v), version))) {
                return true;
            }
        }
    }
    for (unsigned i = 0; i < rest_extras_count; i++) {
        const char *v = rest_extras[i].api_version;
        if (str_eq(rest_group_of(v), group) && (version.n == 0 || str_eq(rest_version_of(v), version))) {
            return true;
        }
    }
    return false;
}

static void read_api(const struct segments *s, unsigned at, struct rest_path *p)
{
    p->version = segment(s, at);
    if (!group_is_known(p->group, p->version)) {
        return;
    }
    if (s->count <= at) {
        p->place = REST_GROUP;
    } else if (s->count == at + 1) {
        p->place = REST_RESOURCES;
    } else {
        read_objects(s, at + 1, p);
    }
}

static const char *health_named(struct str name)
{
    static const char *const names[] = {"healthz", "livez", "readyz"};
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        if (str_is(name, names[i])) {
            return names[i];
        }
    }
    return NULL;
}

/* "apis/apps/v1" */
static struct str join(struct arena *a, const struct segments *s, unsigned at)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    for (unsigned i = at; i < s->count; i++) {
        buf_puts(&b, i > at ? "/" : "");
        buf_append_str(&b, s->at[i]);
    }
    return (struct str){arena_strndup(a, (const char *)b.data, b.size), b.size};
}

/* What is behind /proxy is somebody else's path: it is not looked at. path: without it. */
static struct str cut_proxied(struct str *path)
{
    static const char *const shapes[][8] = {{"api", "v1", "namespaces", NULL, "pods", NULL, "proxy"},
                                            {"api", "v1", "namespaces", NULL, "services", NULL, "proxy"},
                                            {"api", "v1", "nodes", NULL, "proxy"}};
    for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
        struct str rest = *path;
        for (unsigned n = 0; rest.n > 0 && rest.p[0] == '/'; n++) {
            const char *end = memchr(rest.p + 1, '/', rest.n - 1);
            struct str one = {rest.p + 1, end == NULL ? rest.n - 1 : (size_t)(end - rest.p) - 1};
            if (shapes[i][n] != NULL && !str_is(one, shapes[i][n])) {
                break;
            }
            rest.p += one.n + 1;
            rest.n -= one.n + 1;
            if (n > 0 && str_is(one, "proxy") && shapes[i][n] != NULL) {
                path->n -= rest.n;
                return rest;
            }
        }
    }
    return STR("");
}

bool rest_path_read(struct arena *a, struct str path, struct rest_path *p)
{
    struct segments s;
    *p = (struct rest_path){.group = STR(""), .version = STR(""), .ns = STR(""), .name = STR(""), .part = STR("")};
    struct str proxied = cut_proxied(&path);
    p->rest = proxied.n == 0 ? STR("") : (struct str){arena_strndup(a, proxied.p, proxied.n), proxied.n};
    if (!split(a, path, &s)) {
        return false;
    }
    struct str first = segment(&s, 0), second = segment(&s, 1);
    if (s.count == 0) {
        p->place = REST_ROOT;
    } else if (str_is(first, "api")) {
        p->place = s.count == 1 ? REST_CORE_VERSIONS : REST_NOWHERE;
        if (s.count > 1) {
            read_api(&s, 1, p);
        }
    } else if (str_is(first, "apis")) {
        p->place = s.count == 1 ? REST_GROUPS : REST_NOWHERE;
        p->group = second;
        if (s.count > 1) {
            read_api(&s, 2, p);
        }
    } else if (str_is(first, "version") && s.count == 1) {
        p->place = REST_VERSION;
    } else if (str_is(first, "metrics") && s.count == 1) {
        p->place = REST_METRICS;
    } else if ((p->health = health_named(first)) != NULL && s.count <= 2) {
        p->place = REST_HEALTH;
        p->name = second;
    } else if (str_is(first, ".well-known") && str_is(second, "openid-configuration") && s.count == 2) {
        p->place = REST_OPENID;
    } else if (str_is(first, "openid") && str_is(second, "v1") && s.count == 3 && str_is(segment(&s, 2), "jwks")) {
        p->place = REST_OPENID;
        p->name = segment(&s, 2);
    } else if (str_is(first, "openapi") && str_is(second, "v2") && s.count == 2) {
        p->place = REST_OPENAPI_2;
    } else if (str_is(first, "openapi") && str_is(second, "v3")) {
        p->place = REST_OPENAPI_3;
        p->name = join(a, &s, 2);
    }
    return true;
}
