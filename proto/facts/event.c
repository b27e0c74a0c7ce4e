#include "proto/facts/event.h"

#include <assert.h>
#include <stdio.h>
#include <xxhash.h>

#include "base/timefmt.h"

#define MICRO_PLACES 1000u /* what fits below a millisecond; later ones share the last place */

static struct value *micro_time(struct arena *a, int64_t wall_ms, unsigned place)
{
    char ms[TIMEFMT_SIZE];
    timefmt_rfc3339_ms(wall_ms, ms); /* "...05.123Z" */
    struct str s = str_of(ms);
    return value_cstr(a, arena_printf(a, "%.*s%03uZ", (int)s.n - 1, s.p, MIN(place, MICRO_PLACES - 1)));
}

/* At most EVENT_MESSAGE_MAX bytes, no character in halves. */
static struct str cut(struct str s)
{
    size_t n = MIN(s.n, EVENT_MESSAGE_MAX);
    while (n > 0 && n < s.n && ((unsigned char)s.p[n] & 0xc0) == 0x80) {
        n--;
    }
    return (struct str){s.p, n};
}

struct event_words event_about(const struct object *o)
{
    return (struct event_words){
        .kind = o->kind, .ns = o->kind->namespaced ? o->ns : STR_NONE, .name = o->name, .uid = o->uid};
}

struct value *event_document(struct arena *a, const struct event_words *w)
{
    assert(w->kind != NULL && w->reason != NULL && w->component != NULL);
    struct value *doc = value_map(a), *about = value_map(a), *source = value_map(a);
    value_set(a, about, "kind", value_cstr(a, w->kind->name));
    if (!str_empty(w->ns)) {
        value_set(a, about, "namespace", value_str(a, w->ns));
    }
    value_set(a, about, "name", value_str(a, w->name));
    value_set(a, about, "uid", value_str(a, w->uid));
    value_set(a, about, "apiVersion", value_cstr(a, w->kind->api_version));
    if (w->field_path != NULL) {
        value_set(a, about, "fieldPath", value_cstr(a, w->field_path));
    }
    value_set(a, source, "component", value_cstr(a, w->component));
    if (w->host != NULL) {
        value_set(a, source, "host", value_cstr(a, w->host));
    }
    value_set(a, doc, "apiVersion", value_cstr(a, "v1"));
    value_set(a, doc, "kind", value_cstr(a, "Event"));
    value_set(a, doc, "involvedObject", about);
    value_set(a, doc, "reason", value_cstr(a, w->reason));
    value_set(a, doc, "message", value_str(a, w->message));
    value_set(a, doc, "source", source);
    value_set(a, doc, "type", value_cstr(a, w->warning ? "Warning" : "Normal"));
    return doc;
}

struct str event_namespace(const struct value *doc)
{
    struct str ns = value_path_str(doc, "involvedObject.namespace");
    return str_empty(ns) ? STR("default") : ns;
}

struct str event_name(struct arena *a, const struct value *doc)
{
    struct str name = value_path_str(doc, "involvedObject.name");
    char *identity = arena_printf(
        a, "%.*s/%.*s/%.*s/%.*s/%.*s/%.*s", STR_ARG(value_path_str(doc, "involvedObject.uid")), STR_ARG(name),
        STR_ARG(value_path_str(doc, "involvedObject.kind")), STR_ARG(value_path_str(doc, "reason")),
        STR_ARG(value_path_str(doc, "source.component")), STR_ARG(value_path_str(doc, "message")));
    return name_of_event(a, name, XXH64(identity, strlen(identity), 0));
}

void event_set_name(struct arena *a, struct value *doc, struct str ns, struct str name)
{
    struct value *metadata = value_map(a);
    value_set(a, metadata, "name", value_str(a, name));
    value_set(a, metadata, "namespace", value_str(a, ns));
    value_set(a, doc, "metadata", metadata);
}

void event_set_first(struct arena *a, struct value *doc, int64_t wall_ms, unsigned place, const char *reporter)
{
    value_set(a, doc, "message", value_str(a, cut(value_path_str(doc, "message"))));
    value_set(a, doc, "firstTimestamp", value_time(a, wall_ms));
    value_set(a, doc, "lastTimestamp", value_time(a, wall_ms));
    value_set(a, doc, "eventTime", micro_time(a, wall_ms, place));
    value_set(a, doc, "count", value_int(a, 1));
    if (value_path_str(doc, "action").n == 0) {
        value_set(a, doc, "action", value_str(a, value_path_str(doc, "reason")));
    }
    if (value_path_str(doc, "reportingComponent").n == 0) {
        value_set(a, doc, "reportingComponent", value_str(a, value_path_str(doc, "source.component")));
    }
    if (value_path_str(doc, "reportingInstance").n == 0) {
        value_set(a, doc, "reportingInstance", value_cstr(a, reporter));
    }
}

void event_set_again(struct arena *a, struct value *doc, int64_t wall_ms, unsigned place)
{
    int64_t count = MIN(value_path_int(doc, "count", 1), (int64_t)INT32_MAX - 1) + 1;
    struct value *series = value_map(a);
    value_set(a, series, "count", value_int(a, count));
    value_set(a, series, "lastObservedTime", micro_time(a, wall_ms, place));
    value_set(a, doc, "count", value_int(a, count));
    value_set(a, doc, "lastTimestamp", value_time(a, wall_ms));
    value_set(a, doc, "series", series);
}

static struct str first_of(struct mp m, const char *const *paths, unsigned count)
{
    struct str s = STR_NONE;
    for (unsigned i = 0; i < count && s.n == 0; i++) {
        s = mp_str(mp_path(m, paths[i]));
    }
    return s;
}

static struct str second_of(const struct object *o)
{
    static const char *const paths[] = {"lastTimestamp", "series.lastObservedTime", "eventTime",
                                        "metadata.creationTimestamp"};
    struct str s = first_of(object_mp(o), paths, ARRAY_SIZE(paths));
    return (struct str){s.p, MIN(s.n, sizeof "2006-01-02T15:04:05" - 1)};
}

static struct str micros_of(const struct object *o)
{
    static const char *const paths[] = {"series.lastObservedTime", "eventTime"};
    return first_of(object_mp(o), paths, ARRAY_SIZE(paths));
}

/* Within a second the revision tells what came first, and within one transaction the microseconds. */
int event_compare(const struct object *x, const struct object *y)
{
    int c = str_cmp(second_of(x), second_of(y));
    c = c != 0 ? c : (x->revision > y->revision) - (x->revision < y->revision);
    return c != 0 ? c : str_cmp(micros_of(x), micros_of(y));
}

int event_compare_first(const struct object *x, const struct object *y)
{
    int c = str_cmp(mp_str(mp_path(object_mp(x), "eventTime")), mp_str(mp_path(object_mp(y), "eventTime")));
    return c != 0 ? c : event_compare(x, y);
}
