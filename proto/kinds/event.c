#include <ctype.h>

#include "base/timefmt.h"
#include "proto/kinds/kinds.h"

/* clang-format off */
SCHEMA_STATIC(event_source, "EventSource", "Who reported it.",
    STRING("component", "Part of the system."),
    STRING("host", "Node it runs on."));

SCHEMA_STATIC(event_series, "EventSeries", "The event again and again.",
    INT32("count", "How often so far.", ZERO),
    TIME("lastObservedTime", "When last.", MICRO));

SCHEMA_STATIC(event, "Event", "Something that happened to an object. Events are kept for a while only.",
    TYPE_META,
    OBJECT("involvedObject", schema_object_reference, "The object it happened to.", REQUIRED),
    STRING("reason", "What happened, in one word."),
    STRING("message", "What happened, for people."),
    OBJECT("source", event_source, "Who reported it."),
    TIME("firstTimestamp", "When it happened first."),
    TIME("lastTimestamp", "When it happened last."),
    INT32("count", "How often it happened.", ZERO),
    STRING("type", "Normal or Warning."),
    TIME("eventTime", "When it happened, to the microsecond.", MICRO),
    OBJECT("series", event_series, "Set if it goes on happening."),
    STRING("action", "What was done about the object."),
    OBJECT("related", schema_object_reference, "Another object that has to do with it."),
    STRING("reportingComponent", "Who reported it, such as reeve/scheduler."),
    STRING("reportingInstance", "Which instance of it."));

SCHEMA_STATIC(event_v1, "Event", "Something that happened to an object. Events are kept for a while only.",
    TYPE_META,
    TIME("eventTime", "When it happened, to the microsecond.", MICRO),
    OBJECT("series", event_series, "Set if it goes on happening."),
    STRING("reportingController", "Who reported it, such as reeve/scheduler."),
    STRING("reportingInstance", "Which instance of it."),
    STRING("action", "What was done about the object."),
    STRING("reason", "What happened, in one word."),
    OBJECT("regarding", schema_object_reference, "The object it happened to."),
    OBJECT("related", schema_object_reference, "Another object that has to do with it."),
    STRING("note", "What happened, for people."),
    STRING("type", "Normal or Warning."),
    OBJECT("deprecatedSource", event_source, "Who reported it, in the words of v1."),
    TIME("deprecatedFirstTimestamp", "When it happened first, in the words of v1."),
    TIME("deprecatedLastTimestamp", "When it happened last, in the words of v1."),
    INT32("deprecatedCount", "How often it happened, in the words of v1.", ZERO));
/* clang-format on */

/* ---- events.k8s.io/v1: the same in other words ---- */

static const struct {
    const char *old, *new; /* members in v1, and in events.k8s.io/v1 */
} words[] = {
    {"involvedObject", "regarding"},
    {"message", "note"},
    {"source", "deprecatedSource"},
    {"firstTimestamp", "deprecatedFirstTimestamp"},
    {"lastTimestamp", "deprecatedLastTimestamp"},
    {"count", "deprecatedCount"},
    {"reportingComponent", "reportingController"},
};

static void rename_member(struct arena *a, struct value *doc, const char *from, const char *to)
{
    struct value *v = value_get(doc, from);
    if (v != NULL) {
        value_remove(doc, from);
        value_set(a, doc, to, v);
    }
}

static void v1_up(struct arena *a, struct value *doc)
{
    for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
        rename_member(a, doc, words[i].new, words[i].old);
    }
    if (value_is_null(value_get(doc, "involvedObject"))) { /* it need not be about anything */
        value_set(a, doc, "involvedObject", value_map(a));
    }
}

static void v1_down(struct arena *a, struct value *doc)
{
    for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
        rename_member(a, doc, words[i].old, words[i].new);
    }
}

static const struct kind_version versions[] = {
    {"events.k8s.io/v1", v1_up, v1_down, .read_only = false, .schema = &event_v1},
    {0},
};

/* With eventTime an event says who reported what, and says it in short. */
static void check_new_style(const struct value *obj, struct errlist *l)
{
    static const struct {
        const char *name;
        bool required;
        size_t max;
    } texts[] = {
        {"reportingComponent", true, 0}, {"reportingInstance", true, 128}, {"action", true, 128},
        {"reason", true, 128},           {"message", false, 1024},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(texts); i++) {
        const struct value *v = value_get(obj, texts[i].name);
        struct str s = value_to_str(v);
        if (texts[i].required && s.n == 0) {
            bad_missing(l, obj, FPATH(texts[i].name), "must not be empty if eventTime is given");
        } else if (texts[i].max > 0 && s.n > texts[i].max) {
            bad_too_long(l, v, FPATH(texts[i].name), texts[i].max);
        } else if (i == 0 && !name_is_label_key(s)) {
            bad_value(l, v, FPATH(texts[i].name), NAME_LABEL_KEY_WHY);
        }
    }
}

/* An event lives beside its object; those of cluster-wide objects live in "default". With eventTime an object's own
 * namespace may be another one, and "kube-system" does for cluster-wide ones as well. */
static void event_validate(const struct value *obj, const struct value *old, struct errlist *l)
{
    (void)old; /* a changed event is judged as a new one */
    const struct value *ns = value_at(obj, "involvedObject", "namespace", NULL);
    struct str own = value_to_str(value_at(obj, "metadata", "namespace", NULL)), other = value_to_str(ns);
    bool new_style = value_to_str(value_get(obj, "eventTime")).n > 0;
    bool fits = other.n > 0 ? new_style || str_eq(own, other)
                            : str_is(own, "default") || (new_style && str_is(own, "kube-system"));
    if (!fits) {
        bad_value(l, ns != NULL ? ns : value_cstr(l->arena, ""), FPATH("involvedObject.namespace"),
                  "does not match metadata.namespace");
    }
    if (new_style) {
        check_new_style(obj, l);
    }
}

/* ---- Columns ---- */

static struct str first_seen(struct mp o)
{
    struct str s = mp_str(mp_get(o, "firstTimestamp"));
    return s.n > 0 ? s : mp_str(mp_get(o, "eventTime"));
}

static void cell_last_seen(struct buf *out, const struct object *o, int64_t now_ms)
{
    struct mp m = object_mp(o);
    struct str s = mp_str(mp_path(m, "series.lastObservedTime"));
    if (s.n == 0) {
        s = mp_str(mp_get(m, "lastTimestamp"));
    }
    cell_age(out, s.n > 0 ? s : first_seen(m), now_ms);
}

static void cell_first_seen(struct buf *out, const struct object *o, int64_t now_ms)
{
    cell_age(out, first_seen(object_mp(o)), now_ms);
}

static void cell_type(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    cell_str(out, mp_get(object_mp(o), "type"));
}

static void cell_reason(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    cell_str(out, mp_get(object_mp(o), "reason"));
}

static void cell_object(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    struct mp target = mp_get(object_mp(o), "involvedObject");
    struct str kind = mp_str(mp_get(target, "kind"));
    for (size_t i = 0; i < kind.n; i++) {
        buf_putc(out, (char)tolower((unsigned char)kind.p[i]));
    }
    buf_putc(out, '/');
    buf_append_str(out, mp_str(mp_get(target, "name")));
}

static void cell_subobject(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    buf_append_str(out, mp_str(mp_path(object_mp(o), "involvedObject.fieldPath")));
}

static void cell_source(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    struct mp m = object_mp(o);
    struct str component = mp_str(mp_path(m, "source.component")), host = mp_str(mp_path(m, "source.host"));
    buf_append_str(out, component.n > 0 ? component : mp_str(mp_get(m, "reportingComponent")));
    if (host.n > 0) {
        buf_printf(out, ", %.*s", STR_ARG(host));
    }
}

static void cell_message(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    struct str s = mp_str(mp_get(object_mp(o), "message"));
    while (s.n > 0 && isspace((unsigned char)s.p[s.n - 1])) {
        s.n--;
    }
    buf_append_str(out, s);
}

static void cell_count(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    struct mp m = object_mp(o);
    int64_t n = mp_int(mp_path(m, "series.count"), mp_int(mp_get(m, "count"), 1));
    buf_printf(out, "%lld", (long long)MAX(n, 1));
}

static void cell_name(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    buf_append_str(out, o->name);
}

static const struct column columns[] = {
    {.title = "LAST SEEN", .cell = cell_last_seen},
    {.title = "TYPE", .cell = cell_type},
    {.title = "REASON", .cell = cell_reason},
    {.title = "OBJECT", .cell = cell_object},
    {.title = "SUBOBJECT", .wide = true, .cell = cell_subobject},
    {.title = "SOURCE", .wide = true, .cell = cell_source},
    {.title = "MESSAGE", .cell = cell_message},
    {.title = "FIRST SEEN", .wide = true, .cell = cell_first_seen},
    {.title = "COUNT", .wide = true, .cell = cell_count, .value = COLUMN_PLAIN},
    {.title = "NAME", .wide = true, .cell = cell_name},
};

static void event_references(const struct object *o, kind_reference_cb *cb, void *data)
{
    struct mp about = mp_get(object_mp(o), "involvedObject");
    const struct kind *k = kind_of_reference(mp_str(mp_get(about, "apiVersion")), mp_str(mp_get(about, "kind")));
    if (k != NULL) {
        const struct kind_reference r = {.kind = k,
                                         .ns = k->namespaced ? mp_str(mp_get(about, "namespace")) : STR_NONE,
                                         .name = mp_str(mp_get(about, "name")),
                                         .uid = mp_str(mp_get(about, "uid")),
                                         .use = REFERENCE_TARGET,
                                         .optional = true};
        cb(data, &r);
    }
}

const struct kind kind_event = {
    .id = KIND_EVENT,
    .name = "Event",
    .api_version = "v1",
    .plural = "events",
    .singular = "event",
    .short_names = "ev",
    .namespaced = true,
    .names = NAMES_KEY,
    .unowned = true,
    .versions = versions,
    .schema = &event,
    .selectable = "involvedObject.kind involvedObject.namespace involvedObject.name involvedObject.uid "
                  "involvedObject.apiVersion involvedObject.resourceVersion involvedObject.fieldPath reason "
                  "reportingComponent source=source.component type regarding.kind=involvedObject.kind "
                  "regarding.namespace=involvedObject.namespace regarding.name=involvedObject.name "
                  "regarding.uid=involvedObject.uid regarding.apiVersion=involvedObject.apiVersion "
                  "regarding.resourceVersion=involvedObject.resourceVersion "
                  "regarding.fieldPath=involvedObject.fieldPath reportingController=reportingComponent",
    .columns = columns,
    .columns_count = ARRAY_SIZE(columns),
    .validate = event_validate,
    .references = event_references,
    .put_makes = true,
};
