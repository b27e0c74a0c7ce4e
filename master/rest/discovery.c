/* What there is: groups, versions and resources, of the tables of kinds. Plain (one document for each group and
 * version) and aggregated (all in one). Source: Kubernetes' metav1 APIGroupList, APIResourceList; apidiscovery.k8s.io
 * v2 and v2beta1. */
#include <string.h>

#include "base/timefmt.h"
#include "master/rest/call.h"
#include "master/rest/parts.h"
#include "proto/rpc/api.h"
#include "proto/text/text.h"

#define VERSIONS_MAX 128u
/* What is spoken here. Clients compare the numbers. */
#define API_MAJOR "1"
#define API_MINOR "33"

/* All versions of all groups, each once, in the order in which groups are told. */
struct versions {
    const char *at[VERSIONS_MAX];
    unsigned count;
};

static void add_version(struct versions *all, const char *api_version)
{
    for (unsigned i = 0; i < all->count; i++) {
        if (strcmp(all->at[i], api_version) == 0) {
            return;
        }
    }
    if (all->count < VERSIONS_MAX) {
        all->at[all->count++] = api_version;
    }
}

/* Of a group its kinds' own version comes first: it is preferred. */
static void gather(struct versions *all)
{
    all->count = 0;
    for (unsigned n = 0; n < 4; n++) {
        for (unsigned i = 0; i < kinds_count(); i++) {
            const char *v = rest_kind_version(kinds_at(i), n);
            if (v != NULL) {
                add_version(all, v);
            }
        }
    }
    for (unsigned i = 0; i < rest_extras_count; i++) {
        add_version(all, rest_extras[i].api_version);
    }
}

static void put_text(struct buf *out, const char *key, struct str value)
{
    buf_printf(out, "\"%s\":", key);
    json_write_text(out, value);
}

/* "a b" as ["a","b"]; separator: between the words. */
static void put_words(struct buf *out, const char *key, const char *words, char separator)
{
    bool first = true;
    buf_printf(out, "\"%s\":[", key);
    for (const char *p = words; *p != '\0';) {
        const char *end = strchr(p, separator);
        size_t n = end == NULL ? strlen(p) : (size_t)(end - p);
        buf_puts(out, first ? "" : ",");
        json_write_text(out, (struct str){p, n});
        first = false;
        p += n + (p[n] == separator);
    }
    buf_putc(out, ']');
}

/* ---- Plain ---- */

static void put_resource(struct buf *out, const char *name, const char *singular, bool namespaced, const char *kind,
                         const char *verbs)
{
    buf_putc(out, '{');
    put_text(out, "name", str_of(name));
    buf_putc(out, ',');
    put_text(out, "singularName", str_of(singular));
    buf_printf(out, ",\"namespaced\":%s,", namespaced ? "true" : "false");
    put_text(out, "kind", str_of(kind));
    buf_putc(out, ',');
    put_words(out, "verbs", verbs, ' ');
}

static void put_short_names(struct buf *out, const char *names)
{
    if (names[0] != '\0') {
        buf_putc(out, ',');
        put_words(out, "shortNames", names, ',');
    }
}

static void put_kind(struct buf *out, const struct kind *k, bool *first)
{
    buf_puts(out, *first ? "" : ",");
    *first = false;
    put_resource(out, k->plural, k->singular, k->namespaced, k->name, REST_LIST_VERBS);
    put_short_names(out, k->short_names);
    buf_puts(out, k->in_all ? ",\"categories\":[\"all\"]}" : "}");
    for (unsigned i = 1; i < rest_parts_count; i++) {
        const struct rest_part *part = &rest_parts[i];
        if (!part->has(k)) {
            continue;
        }
        CLEANUP_BUF struct buf name = BUF_INIT;
        buf_printf(&name, "%s/%s", k->plural, part->name);
        buf_putc(out, ',');
        put_resource(out, buf_cstr(&name), "", k->namespaced, part->kind == NULL ? k->name : part->kind, part->verbs);
        if (part->api_version != NULL) {
            buf_putc(out, ',');
            put_text(out, "group", rest_group_of(part->api_version));
            buf_putc(out, ',');
            put_text(out, "version", rest_version_of(part->api_version));
        }
        buf_putc(out, '}');
    }
}

static bool serves(const struct kind *k, const char *api_version)
{
    const char *v;
    for (unsigned i = 0; (v = rest_kind_version(k, i)) != NULL; i++) {
        if (strcmp(v, api_version) == 0) {
            return true;
        }
    }
    return false;
}

/* The kind behind this one by their plurals, which is the order in which kubectl gets "all". NULL: the first; none. */
static const struct kind *next_kind(const struct kind *last)
{
    const struct kind *next = NULL;
    for (unsigned i = 0; i < kinds_count(); i++) {
        const struct kind *k = kinds_at(i);
        if ((last == NULL || strcmp(k->plural, last->plural) > 0) &&
            (next == NULL || strcmp(k->plural, next->plural) < 0)) {
            next = k;
        }
    }
    return next;
}

static void put_resources(struct buf *out, const char *api_version)
{
    bool first = true;
    buf_puts(out, "\"resources\":[");
    for (const struct kind *k = next_kind(NULL); k != NULL; k = next_kind(k)) {
        if (serves(k, api_version)) {
            put_kind(out, k, &first);
        }
    }
    for (unsigned i = 0; i < rest_extras_count; i++) {
        const struct rest_extra *x = &rest_extras[i];
        if (strcmp(x->api_version, api_version) == 0) {
            buf_puts(out, first ? "" : ",");
            first = false;
            put_resource(out, x->plural, x->singular, x->namespaced, x->kind, x->verbs);
            put_short_names(out, x->short_names);
            buf_putc(out, '}');
        }
    }
    buf_puts(out, "]");
}

static void put_version(struct buf *out, const char *api_version)
{
    buf_putc(out, '{');
    put_text(out, "groupVersion", str_of(api_version));
    buf_putc(out, ',');
    put_text(out, "version", rest_version_of(api_version));
    buf_putc(out, '}');
}

/* The members of a group: its name, its versions, the preferred one. */
static void put_group(struct buf *out, const struct versions *all, struct str group)
{
    const char *preferred = NULL;
    put_text(out, "name", group);
    buf_puts(out, ",\"versions\":[");
    for (unsigned i = 0; i < all->count; i++) {
        if (str_eq(rest_group_of(all->at[i]), group)) {
            buf_puts(out, preferred == NULL ? "" : ",");
            put_version(out, all->at[i]);
            preferred = preferred == NULL ? all->at[i] : preferred;
        }
    }
    buf_puts(out, "],\"preferredVersion\":");
    put_version(out, preferred);
}

/* Is it the first of its group? */
static bool begins_group(const struct versions *all, unsigned at)
{
    for (unsigned i = 0; i < at; i++) {
        if (str_eq(rest_group_of(all->at[i]), rest_group_of(all->at[at]))) {
            return false;
        }
    }
    return true;
}

static void tell_groups(struct buf *out, const struct versions *all)
{
    bool first = true;
    buf_puts(out, "{\"kind\":\"APIGroupList\",\"apiVersion\":\"v1\",\"groups\":[");
    for (unsigned i = 0; i < all->count; i++) {
        struct str group = rest_group_of(all->at[i]);
        if (group.n > 0 && begins_group(all, i)) {
            buf_puts(out, first ? "{" : ",{");
            first = false;
            put_group(out, all, group);
            buf_putc(out, '}');
        }
    }
    buf_puts(out, "]}");
}

/* ---- Aggregated ---- */

static void put_response_kind(struct buf *out, const char *api_version, const char *kind)
{
    buf_puts(out, "\"responseKind\":{");
    put_text(out, "group", rest_group_of(api_version));
    buf_putc(out, ',');
    put_text(out, "version", rest_version_of(api_version));
    buf_putc(out, ',');
    put_text(out, "kind", str_of(kind));
    buf_putc(out, '}');
}

static void put_parts(struct buf *out, const struct kind *k, const char *api_version)
{
    bool any = false;
    for (unsigned i = 1; i < rest_parts_count; i++) {
        const struct rest_part *part = &rest_parts[i];
        if (!part->has(k)) {
            continue;
        }
        buf_puts(out, any ? ",{" : ",\"subresources\":[{");
        any = true;
        put_text(out, "subresource", str_of(part->name));
        buf_putc(out, ',');
        put_response_kind(out, part->api_version == NULL ? api_version : part->api_version,
                          part->kind == NULL ? k->name : part->kind);
        buf_putc(out, ',');
        put_words(out, "verbs", part->verbs, ' ');
        buf_putc(out, '}');
    }
    buf_puts(out, any ? "]" : "");
}

static void put_aggregated(struct buf *out, const char *api_version, const char *plural, const char *singular,
                           const char *kind, bool namespaced, const char *verbs)
{
    buf_putc(out, '{');
    put_text(out, "resource", str_of(plural));
    buf_putc(out, ',');
    put_response_kind(out, api_version, kind);
    buf_printf(out, ",\"scope\":\"%s\",", namespaced ? "Namespaced" : "Cluster");
    put_text(out, "singularResource", str_of(singular));
    buf_putc(out, ',');
    put_words(out, "verbs", verbs, ' ');
}

static void put_aggregated_version(struct buf *out, const char *api_version)
{
    bool first = true;
    buf_putc(out, '{');
    put_text(out, "version", rest_version_of(api_version));
    buf_puts(out, ",\"freshness\":\"Current\",\"resources\":[");
    for (const struct kind *k = next_kind(NULL); k != NULL; k = next_kind(k)) {
        if (!serves(k, api_version)) {
            continue;
        }
        buf_puts(out, first ? "" : ",");
        first = false;
        put_aggregated(out, api_version, k->plural, k->singular, k->name, k->namespaced, REST_LIST_VERBS);
        put_short_names(out, k->short_names);
        buf_puts(out, k->in_all ? ",\"categories\":[\"all\"]" : "");
        put_parts(out, k, api_version);
        buf_putc(out, '}');
    }
    for (unsigned i = 0; i < rest_extras_count; i++) {
        const struct rest_extra *x = &rest_extras[i];
        if (strcmp(x->api_version, api_version) == 0) {
            buf_puts(out, first ? "" : ",");
            first = false;
            put_aggregated(out, api_version, x->plural, x->singular, x->kind, x->namespaced, x->verbs);
            put_short_names(out, x->short_names);
            buf_putc(out, '}');
        }
    }
    buf_puts(out, "]}");
}

/* core: of /api, which has the group without a name alone; else the others. */
static void tell_aggregated(struct buf *out, const struct versions *all, const char *version, bool core)
{
    bool first = true;
    buf_printf(out,
               "{\"kind\":\"APIGroupDiscoveryList\",\"apiVersion\":\"apidiscovery.k8s.io/%s\",\"metadata\":{},"
               "\"items\":[",
               version);
    for (unsigned i = 0; i < all->count; i++) {
        struct str group = rest_group_of(all->at[i]);
        if ((group.n == 0) != core || !begins_group(all, i)) {
            continue;
        }
        buf_puts(out, first ? "{\"metadata\":{" : ",{\"metadata\":{");
        first = false;
        if (!core) {
            put_text(out, "name", group);
        }
        buf_puts(out, "},\"versions\":[");
        for (unsigned v = i; v < all->count; v++) {
            if (str_eq(rest_group_of(all->at[v]), group)) {
                buf_puts(out, v > i ? "," : "");
                put_aggregated_version(out, all->at[v]);
            }
        }
        buf_puts(out, "]}");
    }
    buf_puts(out, "]}");
}

/* ---- The addresses ---- */

static void tell_version(struct buf *out)
{
    buf_puts(out, "{\"major\":\"" API_MAJOR "\",\"minor\":\"" API_MINOR "\",\"gitVersion\":\"v" API_MAJOR "." API_MINOR
                  ".0+reeve-" REEVE_VERSION "\",\"gitCommit\":\"\",\"gitTreeState\":\"clean\","
                  "\"buildDate\":\"1970-01-01T00:00:00Z\",\"goVersion\":\"none\",\"compiler\":\"gcc\","
                  "\"platform\":\"linux/amd64\"}");
}

static void tell_root(struct buf *out, const struct versions *all)
{
    buf_puts(out, "{\"paths\":[\"/api\",\"/apis\"");
    for (unsigned i = 0; i < all->count; i++) {
        buf_printf(out, ",\"%s/%s\"", rest_group_of(all->at[i]).n == 0 ? "/api" : "/apis", all->at[i]);
    }
    buf_puts(out, ",\"/healthz\",\"/livez\",\"/openapi/v2\",\"/openapi/v3\",\"/readyz\",\"/version\"]}");
}

static void tell_resources(struct buf *out, const struct rest_path *p)
{
    CLEANUP_BUF struct buf name = BUF_INIT;
    buf_printf(&name, "%.*s%s%.*s", STR_ARG(p->group), p->group.n > 0 ? "/" : "", STR_ARG(p->version));
    buf_puts(out, "{\"kind\":\"APIResourceList\",\"apiVersion\":\"v1\",");
    put_text(out, "groupVersion", buf_str(&name));
    buf_putc(out, ',');
    put_resources(out, buf_cstr(&name));
    buf_putc(out, '}');
}

void rest_tell(struct rest_call *c)
{
    CLEANUP_BUF struct buf body = BUF_INIT, type = BUF_INIT;
    struct versions all;
    const struct rest_path *p = &c->path;
    bool aggregated = c->view.form.type == REST_FORM_DISCOVERY;
    gather(&all);
    switch (p->place) {
    case REST_HEALTH:
        rest_tell_health(c);
        return;
    case REST_OPENID:
        rest_tell_openid(c);
        return;
    case REST_REVIEW:
        rest_tell_components(c);
        return;
    case REST_METRICS:
        rest_tell_metrics(c);
        return;
    case REST_OPENAPI_2:
    case REST_OPENAPI_3:
        rest_tell_openapi(c);
        return;
    case REST_VERSION:
        tell_version(&body);
        break;
    case REST_ROOT:
        tell_root(&body, &all);
        break;
    case REST_CORE_VERSIONS:
    case REST_GROUPS:
        if (aggregated) {
            buf_printf(&type, "application/json;g=apidiscovery.k8s.io;v=%s;as=APIGroupDiscoveryList",
                       c->view.form.version);
            tell_aggregated(&body, &all, c->view.form.version, p->place == REST_CORE_VERSIONS);
        } else if (p->place == REST_GROUPS) {
            tell_groups(&body, &all);
        } else {
            buf_puts(&body, "{\"kind\":\"APIVersions\",\"versions\":[\"v1\"],\"serverAddressByClientCIDRs\":[]}");
        }
        break;
    case REST_GROUP:
        buf_puts(&body, "{\"kind\":\"APIGroup\",\"apiVersion\":\"v1\",");
        put_group(&body, &all, p->group);
        buf_putc(&body, '}');
        break;
    case REST_RESOURCES:
        tell_resources(&body, p);
        break;
    default:
        rest_answer_failure(c, 404, "the server could not find the requested resource");
        return;
    }
    rest_answer(c, 200, type.size > 0 ? buf_cstr(&type) : NULL, &body);
}
