#include "client/cmd/get_raw.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "client/cmd/common.h"
#include "proto/rpc/api.h"
#include "proto/text/text.h"

#define SEGMENTS_MAX 12u

const char *const get_raw_verbs[] = {"create", "delete", "deletecollection", "get", "list", "patch", "update",
                                     "watch",  NULL};

struct str get_raw_group(const struct kind *k)
{
    const char *slash = strchr(k->api_version, '/');
    return slash == NULL ? STR("") : (struct str){k->api_version, (size_t)(slash - k->api_version)};
}

/* ---- Paths ---- */

struct raw {
    struct rctl *r;
    const char *path; /* as typed */
    const char *segments[SEGMENTS_MAX];
    unsigned count;
    struct value *query; /* name -> text */
};

static const char *percent_decoded(struct arena *a, const char *p, size_t n, bool query)
{
    char *out = arena_strndup(a, p, n), *to = out;
    for (const char *from = out; *from != '\0'; from++) {
        if (from[0] == '%' && isxdigit((unsigned char)from[1]) && isxdigit((unsigned char)from[2])) {
            *to++ = (char)strtol((char[]){from[1], from[2], '\0'}, NULL, 16);
            from += 2;
        } else {
            *to++ = *from == '+' && query ? ' ' : *from;
        }
    }
    *to = '\0';
    return out;
}

static int parse_path(struct raw *w, struct error *err)
{
    struct arena *a = &w->r->arena;
    size_t n = strcspn(w->path, "?");
    w->query = value_map(a);
    if (w->path[0] != '/') {
        return error_set(err, ERR_USAGE, "--raw wants a path that begins with /, such as /api/v1/nodes, not \"%s\"",
                         w->path);
    }
    for (size_t at = 1; at < n;) {
        size_t len = strcspn(w->path + at, "/?");
        if (len > 0 && w->count == SEGMENTS_MAX) {
            return error_set(err, ERR_NOT_FOUND, "the path \"%s\" is too long", w->path);
        }
        if (len > 0) {
            w->segments[w->count++] = percent_decoded(a, w->path + at, len, false);
        }
        at += len + 1;
    }
    for (const char *p = w->path + n + (w->path[n] == '?'); *p != '\0';) {
        size_t len = strcspn(p, "&"), name = strcspn(p, "=&");
        const char *value = name < len ? percent_decoded(a, p + name + 1, len - name - 1, true) : "true";
        value_set(a, w->query, percent_decoded(a, p, name, true), value_cstr(a, value));
        p += len + (p[len] == '&');
    }
    return 0;
}

static const char *query(const struct raw *w, const char *name)
{
    struct str s = value_to_str(value_get(w->query, name));
    return s.n == 0 ? NULL : s.p;
}

static bool query_flag(const struct raw *w, const char *name)
{
    const char *v = query(w, name);
    return v != NULL && (strcmp(v, "true") == 0 || strcmp(v, "1") == 0);
}

static int not_found(struct raw *w)
{
    struct error err = {0};
    error_set(&err, ERR_NOT_FOUND,
              "the server could not find the requested resource \"%s\"; \"rctl get --raw /\" lists what there is",
              w->path);
    return rctl_fail(w->r, &err);
}

static int print(struct raw *w, const struct value *doc)
{
    CLEANUP_BUF struct buf out = BUF_INIT;
    json_write(&out, doc, 0);
    buf_putc(&out, '\n');
    rctl_write(w->r, &out);
    return EXIT_DONE;
}

/* ---- About the server ---- */

static struct value *set(struct arena *a, struct value *map, const char *key, const char *text)
{
    value_set(a, map, key, value_cstr(a, text));
    return map;
}

static int raw_version(struct raw *w)
{
    struct rctl *r = w->r;
    struct arena *a = &r->arena;
    struct error err = {0};
    CLEANUP_REPLY struct api_reply reply = {0};
    struct value *params = set(a, value_map(a), "version", REEVE_VERSION);
    if (api_read(r->api, "hello", params, &reply, &err) != 0) {
        return rctl_fail(r, &err);
    }
    struct str v = mp_str(mp_get(reply.result, "version"));
    size_t major = 0, minor = 0;
    while (major < v.n && v.p[major] != '.') {
        major++;
    }
    while (major + 1 + minor < v.n && v.p[major + 1 + minor] != '.') {
        minor++;
    }
    struct value *doc = value_map(a);
    value_set(a, doc, "major", value_strf(a, "%.*s", (int)major, v.p));
    value_set(a, doc, "minor", value_strf(a, "%.*s", (int)minor, major < v.n ? v.p + major + 1 : ""));
    value_set(a, doc, "gitVersion", value_strf(a, "v%.*s", STR_ARG(v)));
    return print(w, doc);
}

/* A read that a majority of masters has confirmed. */
static int raw_health(struct raw *w)
{
    struct rctl *r = w->r;
    struct error err = {0};
    CLEANUP_OBJECT struct object *o = NULL;
    int rc = api_get(r->api, kind_by_id(KIND_NAMESPACE), NULL, "default", false, &o, &err);
    if (rc != 0 && rc != ERR_NOT_FOUND) {
        return rctl_fail(r, &err);
    }
    fputs("ok", r->out);
    return EXIT_DONE;
}

/* Of the master that was asked, whoever leads. */
static int raw_metrics(struct raw *w)
{
    struct rctl *r = w->r;
    struct error err = {0};
    CLEANUP_REPLY struct api_reply reply = {0};
    if (w->count > 1) {
        return not_found(w);
    }
    if (api_read(r->api, "metrics.text", value_map(&r->arena), &reply, &err) != 0) {
        return rctl_fail(r, &err);
    }
    struct str text = mp_str(mp_get(reply.result, "text"));
    fwrite(text.p, 1, text.n, r->out);
    return EXIT_DONE;
}

static int raw_openapi(struct raw *w)
{
    struct error err = {0};
    error_set(&err, ERR_UNSUPPORTED,
              "\"%s\" is told over HTTPS alone, to `kubectl get --raw`; `rctl config kubeconfig` writes the file that "
              "kubectl takes",
              w->path);
    return rctl_fail(w->r, &err);
}

static int raw_logs(struct raw *w)
{
    struct error err = {0};
    error_set(&err, ERR_UNSUPPORTED, "\"%s\": masters write their logs to where they run, and serve none", w->path);
    return rctl_fail(w->r, &err);
}

/* ---- Discovery ---- */

static struct value *group_document(struct arena *a, struct str group)
{
    struct value *g = value_map(a), *versions = value_list(a);
    CLEANUP_BUF struct buf seen = BUF_INIT;
    value_set(a, g, "name", value_str(a, group));
    for (unsigned i = 0; i < kinds_count(); i++) {
        const char *api = kinds_at(i)->api_version;
        if (!str_eq(get_raw_group(kinds_at(i)), group) || strstr(buf_cstr(&seen), api) != NULL) {
            continue;
        }
        buf_printf(&seen, "%s ", api);
        struct value *v = set(a, value_map(a), "groupVersion", api);
        set(a, v, "version", strchr(api, '/') + 1);
        value_append(a, versions, v);
        value_set(a, g, "preferredVersion", v);
    }
    value_set(a, g, "versions", versions);
    return g;
}

static bool is_first_of_group(unsigned i)
{
    for (unsigned k = 0; k < i; k++) {
        if (str_eq(get_raw_group(kinds_at(k)), get_raw_group(kinds_at(i)))) {
            return false;
        }
    }
    return get_raw_group(kinds_at(i)).n > 0;
}

static int raw_groups(struct raw *w, const char *only)
{
    struct arena *a = &w->r->arena;
    struct value *list = value_list(a);
    for (unsigned i = 0; i < kinds_count(); i++) {
        struct str group = get_raw_group(kinds_at(i));
        if (!is_first_of_group(i)) {
            continue;
        }
        struct value *g = group_document(a, group);
        if (only != NULL && str_is(group, only)) {
            set(a, g, "kind", "APIGroup");
            return print(w, set(a, g, "apiVersion", "v1"));
        }
        value_append(a, list, g);
    }
    if (only != NULL) {
        return not_found(w);
    }
    struct value *doc = set(a, set(a, value_map(a), "kind", "APIGroupList"), "apiVersion", "v1");
    value_set(a, doc, "groups", list);
    return print(w, doc);
}

static void add_resource(struct arena *a, struct value *list, const struct kind *k, const char *part, const char *verbs)
{
    struct value *r = value_map(a), *v = value_list(a);
    value_set(a, r, "name", value_strf(a, "%s%s", k->plural, part));
    set(a, r, "singularName", part[0] == '\0' ? k->singular : "");
    value_set(a, r, "namespaced", value_bool(a, k->namespaced));
    set(a, r, "kind", strcmp(part, "/scale") == 0 ? "Scale" : k->name);
    if (verbs == NULL) {
        for (unsigned i = 0; get_raw_verbs[i] != NULL; i++) {
            value_append(a, v, value_cstr(a, get_raw_verbs[i]));
        }
    } else {
        value_append(a, v, value_cstr(a, verbs));
    }
    value_set(a, r, "verbs", v);
    char *save = NULL, *names = arena_strdup(a, k->short_names);
    for (char *p = strtok_r(names, ",", &save); part[0] == '\0' && p != NULL; p = strtok_r(NULL, ",", &save)) {
        value_append(a, value_ensure_list(a, r, "shortNames"), value_cstr(a, p));
    }
    value_append(a, list, r);
}

static int raw_resources(struct raw *w, const char *api_version)
{
    struct arena *a = &w->r->arena;
    struct value *list = value_list(a);
    for (unsigned i = 0; i < kinds_count(); i++) {
        const struct kind *k = kinds_at(i);
        if (strcmp(k->api_version, api_version) != 0) {
            continue;
        }
        add_resource(a, list, k, "", NULL);
        if (k->has_status) {
            add_resource(a, list, k, "/status", "get");
        }
        if (k->has_scale) {
            add_resource(a, list, k, "/scale", "get");
        }
        if (k->id == KIND_POD) {
            add_resource(a, list, k, "/log", "get");
        }
    }
    if (value_count(list) == 0) {
        return not_found(w);
    }
    struct value *doc = set(a, set(a, value_map(a), "kind", "APIResourceList"), "groupVersion", api_version);
    value_set(a, doc, "resources", list);
    return print(w, doc);
}

static int raw_paths(struct raw *w)
{
    static const char *const fixed[] = {"/api", "/api/v1", "/apis", "/healthz", "/livez", "/readyz", "/version"};
    struct arena *a = &w->r->arena;
    struct value *list = value_list(a), *doc = value_map(a);
    for (unsigned i = 0; i < ARRAY_SIZE(fixed); i++) {
        value_append(a, list, value_cstr(a, fixed[i]));
    }
    for (unsigned i = 0; i < kinds_count(); i++) {
        if (is_first_of_group(i)) {
            value_append(a, list, value_strf(a, "/apis/%.*s", STR_ARG(get_raw_group(kinds_at(i)))));
            value_append(a, list, value_strf(a, "/apis/%s", kinds_at(i)->api_version));
        }
    }
    value_set(a, doc, "paths", list);
    return print(w, doc);
}

/* ---- Objects ---- */

struct target {
    const struct kind *kind;
    const char *ns, *name, *part; /* NULL: not given */
};

static bool watch_event(enum api_event type, const struct object *o, uint64_t revision, void *data)
{
    (void)revision;
    struct raw *w = data;
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    if (type == API_SYNCED) {
        return true;
    }
    struct value *doc = set(&a, value_map(&a), "type",
                            type == API_DELETED    ? "DELETED"
                            : type == API_MODIFIED ? "MODIFIED"
                                                   : "ADDED");
    value_set(&a, doc, "object", print_document(&a, o));
    print(w, doc);
    fflush(w->r->out);
    return !ferror(w->r->out);
}

static int raw_list(struct raw *w, const struct target *t)
{
    struct rctl *r = w->r;
    struct arena *a = &r->arena;
    struct error err = {0};
    struct api_list_query q = {.kind = t->kind,
                               .ns = t->ns,
                               .label_selector = query(w, "labelSelector"),
                               .field_selector = query(w, "fieldSelector")};
    if (query_flag(w, "watch")) {
        const char *seconds = query(w, "timeoutSeconds");
        int rc = api_watch(r->api, &q, seconds == NULL ? 0 : MAX(atoll(seconds), 1) * 1000, watch_event, w, &err);
        return rc == 0 || rc == ERR_TIMEOUT ? EXIT_DONE : rctl_fail(r, &err);
    }
    CLEANUP_LIST struct api_list list = {0};
    if (api_list(r->api, &q, &list, &err) != 0) {
        return rctl_fail(r, &err);
    }
    struct value *doc = value_map(a), *items = value_list(a);
    value_set(a, doc, "kind", value_strf(a, "%sList", t->kind->name));
    set(a, doc, "apiVersion", t->kind->api_version);
    value_set(a, value_ensure_map(a, doc, "metadata"), "resourceVersion",
              value_strf(a, "%llu", (unsigned long long)list.revision));
    for (unsigned i = 0; i < list.count; i++) {
        value_append(a, items, print_document(a, list.items[i]));
    }
    value_set(a, doc, "items", items);
    return print(w, doc);
}

static struct value *scale_document(struct arena *a, const struct object *o, struct error *err)
{
    static const char *const kept[] = {"name", "namespace", "uid", "resourceVersion", "creationTimestamp"};
    struct value *from = print_document(a, o), *doc = value_map(a), *meta = value_map(a);
    for (unsigned i = 0; i < ARRAY_SIZE(kept); i++) {
        struct value *v = value_get(value_get(from, "metadata"), kept[i]);
        if (v != NULL) {
            value_set(a, meta, kept[i], v);
        }
    }
    const char *selector = resource_selector(a, o, err);
    set(a, set(a, doc, "kind", "Scale"), "apiVersion", "autoscaling/v1");
    value_set(a, doc, "metadata", meta);
    value_set(a, value_ensure_map(a, doc, "spec"), "replicas", value_int(a, value_path_int(from, "spec.replicas", 1)));
    struct value *status = value_ensure_map(a, doc, "status");
    value_set(a, status, "replicas", value_int(a, value_path_int(from, "status.replicas", 0)));
    return selector == NULL ? NULL : (set(a, status, "selector", selector), doc);
}

static void log_text(struct str text, void *data)
{
    struct raw *w = data;
    fwrite(text.p, 1, text.n, w->r->raw_out);
    fflush(w->r->raw_out);
}

static void log_note(const char *text, void *data)
{
    struct raw *w = data;
    rctl_note(w->r, "note: %s", text);
}

static int raw_log(struct raw *w, const struct target *t)
{
    static const char *const numbers[] = {"tailLines", "sinceSeconds", "limitBytes"}, *const flags[] = {"follow",
                                                                                                        "previous",
                                                                                                        "timestamps"};
    static const struct api_log_events events = {log_text, log_note};
    struct rctl *r = w->r;
    struct arena *a = &r->arena;
    struct error err = {0};
    struct value *p = set(a, set(a, value_map(a), "namespace", t->ns), "name", t->name);
    if (query(w, "container") != NULL) {
        set(a, p, "container", query(w, "container"));
    }
    for (unsigned i = 0; i < ARRAY_SIZE(numbers); i++) {
        if (query(w, numbers[i]) != NULL) {
            value_set(a, p, numbers[i], value_int(a, atoll(query(w, numbers[i]))));
        }
        if (query_flag(w, flags[i])) {
            value_set(a, p, flags[i], value_bool(a, true));
        }
    }
    if (query(w, "sinceTime") != NULL) {
        set(a, p, "sinceTime", query(w, "sinceTime"));
    }
    struct api_log *l = api_log_open(r->api, p, &events, w);
    api_run(r->api, api_log_ended(l), 0);
    return api_log_close(l, &err) == 0 ? EXIT_DONE : rctl_fail(r, &err);
}

static int raw_object(struct raw *w, const struct target *t)
{
    struct rctl *r = w->r;
    struct error err = {0};
    const char *part = t->part == NULL ? "" : t->part;
    bool scale = strcmp(part, "scale") == 0;
    if (strcmp(part, "log") == 0 && t->kind->id == KIND_POD) {
        return raw_log(w, t);
    }
    if (part[0] != '\0' && !(strcmp(part, "status") == 0 && t->kind->has_status) && !(scale && t->kind->has_scale)) {
        return not_found(w);
    }
    CLEANUP_OBJECT struct object *o = NULL;
    if (api_get(r->api, t->kind, t->ns, t->name, false, &o, &err) != 0) {
        return rctl_fail(r, &err);
    }
    const struct value *doc = scale ? scale_document(&r->arena, o, &err) : print_document(&r->arena, o);
    return doc == NULL ? rctl_fail(r, &err) : print(w, doc);
}

/* Behind the version: [namespaces/NS/]PLURAL[/NAME[/PART]]. */
static int raw_under(struct raw *w, unsigned at, const char *api_version)
{
    struct target t = {0};
    unsigned left = w->count - at;
    const char *const *s = w->segments + at;
    if (left >= 3 && strcmp(s[0], "namespaces") == 0 && strcmp(s[2], "status") != 0) {
        t.ns = s[1];
        s += 2;
        left -= 2;
    }
    for (unsigned i = 0; i < kinds_count(); i++) {
        const struct kind *k = kinds_at(i);
        if (strcmp(k->plural, s[0]) == 0 && strcmp(k->api_version, api_version) == 0) {
            t.kind = k;
        }
    }
    const char *not_yet = t.kind == NULL ? kind_not_yet(str_of(s[0])) : NULL;
    if (not_yet != NULL) {
        struct error err = {0};
        error_set(&err, ERR_NOT_FOUND, "%s is not there yet", not_yet);
        return rctl_fail(w->r, &err);
    }
    if (t.kind == NULL || left > 3 || (t.ns != NULL && !t.kind->namespaced) ||
        (left > 1 && t.kind->namespaced && t.ns == NULL)) {
        return not_found(w);
    }
    t.name = left > 1 ? s[1] : NULL;
    t.part = left > 2 ? s[2] : NULL;
    return t.name == NULL ? raw_list(w, &t) : raw_object(w, &t);
}

static int raw_apis(struct raw *w)
{
    struct arena *a = &w->r->arena;
    if (w->count <= 2) {
        return raw_groups(w, w->count == 2 ? w->segments[1] : NULL);
    }
    const char *api_version = arena_printf(a, "%s/%s", w->segments[1], w->segments[2]);
    return w->count == 3 ? raw_resources(w, api_version) : raw_under(w, 3, api_version);
}

static int raw_api(struct raw *w)
{
    struct arena *a = &w->r->arena;
    if (w->count > 1) {
        return w->count == 2 ? raw_resources(w, w->segments[1]) : raw_under(w, 2, w->segments[1]);
    }
    struct value *doc = set(a, value_map(a), "kind", "APIVersions");
    value_append(a, value_ensure_list(a, doc, "versions"), value_cstr(a, "v1"));
    return print(w, doc);
}

int get_raw(struct rctl *r, const char *path)
{
    static const struct {
        const char *first;
        int (*run)(struct raw *w);
    } rows[] = {
        {"version", raw_version}, {"healthz", raw_health},  {"livez", raw_health},
        {"readyz", raw_health},   {"api", raw_api},         {"apis", raw_apis},
        {"metrics", raw_metrics}, {"openapi", raw_openapi}, {"logs", raw_logs},
    };
    struct raw w = {.r = r, .path = path};
    struct error err = {0};
    if (r->args.words_count > 0) {
        return rctl_usage(r, "--raw takes a path and nothing else, not \"%s\"", r->args.words[0]);
    }
    if (parse_path(&w, &err) != 0) {
        return err.code == ERR_USAGE ? rctl_usage(r, "%s", err.message) : rctl_fail(r, &err);
    }
    if (rctl_connect(r, &err) != 0) {
        return rctl_fail(r, &err);
    }
    if (w.count == 0) {
        return raw_paths(&w);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        if (strcmp(rows[i].first, w.segments[0]) == 0) {
            return rows[i].run(&w);
        }
    }
    return not_found(&w);
}
