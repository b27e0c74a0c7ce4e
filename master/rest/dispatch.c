/* What a request's head asks for: from method, path, query, Accept and Content-Type to what is to be done. Everything
 * that has an HTTP status of its own (404, 405, 406, 415) is refused here. */
#include <string.h>

#include "master/rest/call.h"
#include "master/rest/gzip.h"
#include "master/rest/parts.h"
#include "proto/facts/node_lease.h"
#include "proto/protobuf/protobuf.h"
#include "proto/text/text.h"

/* ---- What is to be done ---- */

static enum rest_do do_of_get(const struct rest_call *c)
{
    const struct rest_path *p = &c->path;
    if (str_is(p->part, "log")) {
        return REST_DO_LOG;
    }
    bool watch = c->o.watch || p->watch;
    return watch ? REST_DO_WATCH : p->name.n > 0 ? REST_DO_GET : REST_DO_LIST;
}

static bool is_stream(struct str part)
{
    return str_is(part, "exec") || str_is(part, "attach") || str_is(part, "portforward");
}

/* The method is one that the address takes. */
static enum rest_do do_of(const struct rest_call *c, struct str method)
{
    const struct rest_path *p = &c->path;
    if (p->place == REST_REVIEW) {
        return p->extra->verb == REST_EXTRA_WHOAMI         ? REST_DO_WHOAMI
               : p->extra->verb == REST_EXTRA_METRICS      ? REST_DO_METRICS
               : p->extra->verb == REST_EXTRA_BIND         ? REST_DO_BIND
               : p->extra->verb == REST_EXTRA_COMPONENTS   ? REST_DO_TELL
               : p->extra->verb == REST_EXTRA_TOKEN_REVIEW ? REST_DO_TOKEN_REVIEW
                                                           : REST_DO_REVIEW;
    }
    if (is_stream(p->part)) {
        return REST_DO_STREAM;
    }
    if (str_is(method, "GET")) {
        return do_of_get(c);
    }
    if (str_is(method, "POST")) {
        return str_is(p->part, "eviction")  ? REST_DO_EVICT
               : str_is(p->part, "binding") ? REST_DO_BIND
               : str_is(p->part, "token")   ? REST_DO_ACCOUNT_TOKEN
                                            : REST_DO_CREATE;
    }
    if (str_is(method, "PUT")) {
        return str_is(p->part, "finalize") ? REST_DO_FINALIZE : REST_DO_UPDATE;
    }
    if (str_is(method, "PATCH")) {
        return REST_DO_PATCH;
    }
    return p->name.n > 0 ? REST_DO_DELETE : REST_DO_CLEAR;
}

/* False: it has been answered. */
static bool method_fits(struct rest_call *c, struct str method)
{
    const struct rest_path *p = &c->path;
    const char *methods = p->place == REST_HEALTH || p->place == REST_VERSION ? "GET HEAD" : "GET";
    if (p->place == REST_OBJECTS && p->name.n > 0) {
        const struct rest_part *part = rest_part_of(p->kind, p->part);
        if (part == NULL) {
            rest_answer_failure(c, 404, "the server could not find the requested resource: %s have no \"%.*s\"",
                                p->kind->plural, STR_ARG(p->part));
            return false;
        }
        methods = part->methods;
    } else if (p->place == REST_OBJECTS) {
        methods = p->kind->namespaced && !p->has_ns ? "GET" : REST_LIST_METHODS;
    } else if (p->place == REST_REVIEW && rest_extra_is_review(p->extra)) {
        methods = "POST";
        if (p->name.n > 0 || p->extra->namespaced != p->has_ns) {
            rest_answer_failure(c, 404, "the server could not find the requested resource");
            return false;
        }
    }
    if (!str_is_among(method, methods)) {
        rest_answer_failure(
            c, 405, "the server does not allow this method on the requested resource; here it takes: %s", methods);
        return false;
    }
    return true;
}

/* ---- How it is answered, and how it came ---- */

/* Of answers that are objects, or about them: kinds that no message is known for have none, whatever is asked. Reviews
 * are documents, of which there are messages, too. */
static unsigned codings_allowed(const struct rest_call *c)
{
    const struct rest_path *p = &c->path;
    bool known = p->kind == NULL || protobuf_known(str_of(p->api_version), str_of(p->kind->name));
    return REST_MAY_YAML | (known ? REST_MAY_PROTOBUF : 0);
}

static unsigned forms_of_told(const struct rest_call *c)
{
    switch (c->path.place) {
    case REST_CORE_VERSIONS:
    case REST_GROUPS:
        return REST_MAY_DISCOVERY | REST_MAY_YAML;
    case REST_RESOURCES:
    case REST_GROUP:
        return REST_MAY_YAML;
    case REST_REVIEW:
        return REST_MAY_YAML | REST_MAY_TABLE;
    default:
        return REST_MAY_TEXT;
    }
}

static unsigned forms_allowed(const struct rest_call *c)
{
    switch (c->what) {
    case REST_DO_GET:
    case REST_DO_CREATE:
    case REST_DO_UPDATE:
    case REST_DO_PATCH:
        return codings_allowed(c) |
               (c->path.part.n > 0 && !str_is(c->path.part, "status") ? 0 : REST_MAY_TABLE | REST_MAY_PARTIAL);
    case REST_DO_LIST:
        return codings_allowed(c) | REST_MAY_TABLE | REST_MAY_PARTIALS;
    case REST_DO_WATCH: /* there is no stream of YAML */
        return (codings_allowed(c) & ~(unsigned)REST_MAY_YAML) | REST_MAY_TABLE | REST_MAY_PARTIAL | REST_MAY_PARTIALS;
    case REST_DO_APPLY:
    case REST_DO_DELETE:
    case REST_DO_CLEAR:
    case REST_DO_EVICT:
    case REST_DO_BIND:
    case REST_DO_FINALIZE:
    case REST_DO_WHOAMI:
    case REST_DO_REVIEW:
    case REST_DO_ACCOUNT_TOKEN:
    case REST_DO_TOKEN_REVIEW:
        return codings_allowed(c);
    case REST_DO_METRICS:
        return REST_MAY_YAML;
    case REST_DO_LOG:
        return REST_MAY_TEXT;
    case REST_DO_TELL:
        return forms_of_told(c);
    default:
        return 0;
    }
}

static bool choose_form(struct rest_call *c, const struct http_request *r)
{
    struct str accept = http_header(r, "Accept");
    bool messages = http_header_has(r, "Upgrade", "websocket"); /* of text */
    unsigned allowed = forms_allowed(c) & ~(unsigned)(messages ? REST_MAY_PROTOBUF : 0);
    if (!rest_form_choose(accept, allowed, &c->view.form)) {
        rest_answer_failure(c, 406,
                            "only the following media types are accepted: application/json, application/yaml and "
                            "application/vnd.kubernetes.protobuf where there are objects, "
                            "application/json;as=Table;v=v1;g=meta.k8s.io where there are rows");
        return false;
    }
    c->view.include = c->o.include;
    c->view.api_version = c->path.api_version;
    c->view.now_ms = env_wall_ms(c->e.api.m->env);
    bool committed = c->what == REST_DO_GET || c->what == REST_DO_LIST || c->what == REST_DO_WATCH; /* and no dry run */
    committed =
        committed && !(c->path.kind != NULL && node_lease_in(c->path.kind, c->path.ns)); /* made anew each time */
    c->view.kept = committed ? c->e.api.m->kept : NULL;
    return true;
}

static bool body_is(const struct http_media *m, const char *type)
{
    return http_is_word(m->type, type);
}

/* The type of a patch is that of its body. */
static bool read_patch_type(struct rest_call *c, const struct http_media *m)
{
    static const struct {
        const char *type;
        enum patch_type patch;
    } types[] = {
        {"application/json-patch+json", PATCH_JSON},
        {"application/merge-patch+json", PATCH_MERGE},
        {"application/strategic-merge-patch+json", PATCH_STRATEGIC},
    };
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        if (body_is(m, types[i].type)) {
            c->patch = types[i].patch;
            return true;
        }
    }
    bool applied = c->path.part.n == 0 || str_is_among(c->path.part, API_PARTS_APPLIED);
    if (body_is(m, "application/apply-patch+yaml") && applied) {
        c->what = REST_DO_APPLY;
        c->coding = REST_YAML;
        return true;
    }
    return false;
}

/* Objects of kinds for which there is no message come in no protobuf, as custom resources in Kubernetes. */
static bool takes_protobuf(const struct rest_call *c)
{
    bool object = c->what == REST_DO_CREATE || (c->what == REST_DO_UPDATE && !str_is(c->path.part, "scale"));
    return !object || (codings_allowed(c) & REST_MAY_PROTOBUF) != 0;
}

static bool read_coding(struct rest_call *c, const struct http_request *r)
{
    struct str text = http_header(r, "Content-Type");
    struct http_media m = {0};
    bool some = http_media_next(&text, &m);
    if (c->what == REST_DO_PATCH) {
        if (!read_patch_type(c, &m)) {
            rest_answer_failure(c, 415,
                                "the body of the request was in an unknown format - accepted media types include: "
                                "application/json-patch+json, application/merge-patch+json, "
                                "application/strategic-merge-patch+json, application/apply-patch+yaml");
            return false;
        }
        return true;
    }
    if (!some || body_is(&m, "application/json")) {
        c->coding = REST_JSON;
    } else if (body_is(&m, "application/yaml") || body_is(&m, "application/x-yaml")) {
        c->coding = REST_YAML;
    } else if (body_is(&m, PROTOBUF_MEDIA_TYPE) && takes_protobuf(c)) {
        c->coding = REST_PROTOBUF;
    } else if (r->body.n > 0) {
        rest_answer_failure(c, 415,
                            "the body of the request was in an unknown format - accepted media types include: "
                            "application/json, application/yaml%s",
                            takes_protobuf(c) ? ", " PROTOBUF_MEDIA_TYPE : "");
        return false;
    }
    return true;
}

/* ---- Bounds that belong to the address ---- */

/* One object is watched by its name, which is a selector like others. False: it has been answered. */
static bool select_by_name(struct rest_call *c)
{
    if (c->path.name.n == 0 || c->what != REST_DO_WATCH) {
        return true;
    }
    struct str rest = c->o.fields, part;
    while (rest.n > 0) {
        const char *comma = memchr(rest.p, ',', rest.n);
        part = (struct str){rest.p, comma == NULL ? rest.n : (size_t)(comma - rest.p)};
        rest = comma == NULL ? STR_NONE : (struct str){comma + 1, rest.n - part.n - 1};
        size_t head = sizeof "metadata.name" - 1, equals = str_starts(part, STR("metadata.name==")) ? 2 : 1;
        if (str_starts(part, STR("metadata.name=")) &&
            !str_eq((struct str){part.p + head + equals, part.n - head - equals}, c->path.name)) {
            rest_answer_failure(c, 400, "both a name in the path and another one in the field selector are given");
            return false;
        }
    }
    const char *more = c->o.fields.n > 0 ? "," : "";
    const char *text =
        arena_printf(&c->own, "metadata.name=%.*s%s%.*s", STR_ARG(c->path.name), more, STR_ARG(c->o.fields));
    c->o.fields = str_of(text);
    return true;
}

static bool read_options(struct rest_call *c, const struct http_request *r)
{
    struct error err = {0};
    int rv = rest_options_read(&c->own, r->query, &c->o, &err);
    if (rv == 0 && c->path.watch) {
        c->o.watch = true;
    }
    c->is_pretty = c->o.has_pretty ? c->o.pretty : c->is_pretty;
    if (rv == 0 && c->path.place == REST_OBJECTS && str_is(r->method, "GET") && c->path.name.n == 0) {
        rv = rest_options_check_list(&c->o, &err);
    }
    if (rv != 0) {
        error_set_about(&err, STR("meta.k8s.io"), STR("ListOptions"), STR_NONE);
        errand_fail_now(&c->e, &err);
    }
    return rv == 0;
}

/* Selectors that are none: 400, before anything is done. */
static bool check_selectors(struct rest_call *c)
{
    const struct api_selection of = {c->path.kind, STR_NONE, c->o.labels, c->o.fields};
    struct selector *labels, *fields;
    struct error err = {0};
    if (c->path.place == REST_OBJECTS && api_selectors(&c->own, &of, &labels, &fields, &err) != 0) {
        err.code = ERR_USAGE;
        errand_fail_now(&c->e, &err);
        return false;
    }
    return true;
}

static struct str keep(struct rest_call *c, struct str s)
{
    return s.n == 0 ? STR_NONE : (struct str){arena_strndup(&c->own, s.p, s.n), s.n};
}

/* "kubectl" of "kubectl/v1.30.0 (linux/amd64)": who writes, where fieldManager does not say it. */
static struct str agent_of(struct str header)
{
    size_t n = 0;
    while (n < header.n && header.p[n] != '/') {
        n++;
    }
    n = MIN(n, (size_t)API_MANAGER_MAX);
    while (n > 0 && n < header.n && ((unsigned char)header.p[n] & 0xc0) == 0x80) {
        n--; /* never within a letter */
    }
    struct str name = {header.p, n};
    return n > 0 && utf8_valid(name) ? name : STR("unknown");
}

/* Whom JSON is laid out for who does not say `pretty`. Source: Kubernetes' negotiation of answers. */
static bool is_for_people(struct str agent)
{
    static const char *const names[] = {"curl", "Wget", "Mozilla/5.0"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (str_starts(agent, str_of(names[i]))) {
            return true;
        }
    }
    return false;
}

/* What programs look for that come with an API of their own is told by name. */
static void refuse_nowhere(struct rest_call *c)
{
    static const struct {
        const char *group, *what;
    } rows[] = {
        {"apiextensions.k8s.io", "custom resources are not there yet"},
        {"admissionregistration.k8s.io", "admission webhooks and policies are not there yet"},
        {"apiregistration.k8s.io", "aggregated API servers are not there yet"},
    };
    const char *not_yet = c->path.extra == NULL ? kind_not_yet(c->path.plural) : NULL, *what = NULL;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        what = str_is(c->path.group, rows[i].group) ? rows[i].what : what;
    }
    if (what == NULL && not_yet != NULL) {
        const char *instead = kind_instead(c->path.plural);
        what = instead == NULL ? arena_printf(&c->own, "%s is not there yet", not_yet)
                               : arena_printf(&c->own, "%s is not there: %s", not_yet, instead);
    }
    rest_answer_failure(c, 404, "the server could not find the requested resource%s%s", what == NULL ? "" : ": ",
                        what == NULL ? "" : what);
}

bool rest_decide(struct rest_call *c, const struct http_request *r)
{
    if (!rest_path_read(&c->own, r->path, &c->path)) {
        rest_answer_failure(c, 400,
                            "the path is malformed: an escape must be %% and two hexadecimal digits, and no "
                            "part of it may be empty");
        return false;
    }
    c->accept = keep(c, http_header(r, "Accept"));
    c->takes_gzip = rest_gzip_accepted(http_header(r, "Accept-Encoding"));
    c->if_none_match = keep(c, http_header(r, "If-None-Match"));
    c->agent = keep(c, agent_of(http_header(r, "User-Agent")));
    c->is_pretty = is_for_people(http_header(r, "User-Agent"));
    if (!rest_become(c, r)) {
        return false;
    }
    if (c->path.place == REST_NOWHERE) {
        refuse_nowhere(c);
        return false;
    }
    if (!method_fits(c, r->method)) {
        return false;
    }
    if (str_is(c->path.part, "proxy")) { /* whose query is not for us */
        c->what = REST_DO_PROXY;
        return rest_proxy_decide(c, r);
    }
    if (!read_options(c, r)) {
        return false;
    }
    c->what = c->path.place == REST_OBJECTS || c->path.place == REST_REVIEW ? do_of(c, r->method) : REST_DO_TELL;
    if (c->what == REST_DO_STREAM) {
        return rest_stream_decide(c, r);
    }
    return select_by_name(c) && read_coding(c, r) && choose_form(c, r) && check_selectors(c) &&
           ((c->what != REST_DO_WATCH && c->what != REST_DO_LOG) || rest_ws_decide(c, r));
}
