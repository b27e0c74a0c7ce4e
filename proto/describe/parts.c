#include "proto/describe/parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/timefmt.h"
#include "proto/text/grid.h"
#include "proto/text/text.h"

static void blanks(struct buf *out, unsigned n)
{
    while (n-- > 0) {
        buf_putc(out, ' ');
    }
}

void describe_label(struct buf *out, unsigned level, unsigned width, const char *label)
{
    blanks(out, level * DESCRIBE_TAB);
    buf_puts(out, label);
    size_t n = strlen(label);
    blanks(out, n < width ? width - (unsigned)n : 1);
}

void describe_text(struct buf *out, unsigned level, unsigned width, const char *label, struct str text)
{
    describe_label(out, level, width, label);
    buf_append_str(out, text.n > 0 ? text : STR("<none>"));
    buf_putc(out, '\n');
}

void describe_map(struct buf *out, unsigned level, unsigned width, const char *label, struct mp map,
                  const char *separator)
{
    unsigned n = 0;
    describe_label(out, level, width, label);
    for (struct mp_iter it = mp_iter(map); mp_next(&it);) {
        struct str v = mp_str(it.value);
        if (str_is(it.key, "kubectl.kubernetes.io/last-applied-configuration")) {
            continue;
        }
        if (n++ > 0) {
            blanks(out, level * DESCRIBE_TAB + width);
        }
        buf_printf(out, "%.*s%s%.*s\n", STR_ARG(it.key), separator, STR_ARG(v));
    }
    if (n == 0) {
        buf_puts(out, "<none>\n");
    }
}

void describe_head(struct buf *out, const struct object *o, unsigned width)
{
    struct mp m = object_mp(o);
    describe_text(out, 0, width, "Name:", o->name);
    if (o->kind->namespaced) {
        describe_text(out, 0, width, "Namespace:", o->ns);
    }
    describe_map(out, 0, width, "Labels:", mp_path(m, "metadata.labels"), "=");
    describe_map(out, 0, width, "Annotations:", mp_path(m, "metadata.annotations"), ": ");
}

/* "Mon, 02 Jan 2006 15:04:05 +0000", as kubectl has it. */
void describe_time(struct buf *out, unsigned level, unsigned width, const char *label, struct str time)
{
    int64_t ms;
    if (!timefmt_parse(time, &ms)) {
        describe_text(out, level, width, label, time);
        return;
    }
    time_t s = (time_t)(ms / 1000);
    struct tm tm;
    char text[64];
    gmtime_r(&s, &tm);
    strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S +0000", &tm);
    describe_text(out, level, width, label, str_of(text));
}

void describe_conditions(struct buf *out, struct mp conditions, bool with_reason)
{
    size_t width = strlen("Type"), status_width = strlen("Status");
    for (struct mp_iter it = mp_iter(conditions); mp_next(&it);) {
        width = MAX(width, mp_str(mp_get(it.value, "type")).n);
        status_width = MAX(status_width, mp_str(mp_get(it.value, "status")).n);
    }
    if (mp_count(conditions) == 0) {
        return;
    }
    int w = (int)width, sw = (int)status_width;
    buf_puts(out, "Conditions:\n");
    buf_printf(out, "  %-*s  %s\n", w, "Type", "Status");
    if (with_reason) {
        out->size--;
        buf_printf(out, "%*s  %s\n", sw - 6, "", "Reason");
        buf_printf(out, "  %-*s  %-*s  %s\n", w, "----", sw, "------", "------");
    }
    for (struct mp_iter it = mp_iter(conditions); mp_next(&it);) {
        struct str type = mp_str(mp_get(it.value, "type")), status = mp_str(mp_get(it.value, "status"));
        struct str reason = mp_str(mp_get(it.value, "reason")), message = mp_str(mp_get(it.value, "message"));
        buf_printf(out, "  %-*.*s  %.*s", w, STR_ARG(type), STR_ARG(status));
        if (with_reason) {
            blanks(out, status_width - status.n);
            buf_printf(out, "  %.*s%s%.*s", STR_ARG(reason), message.n > 0 ? ": " : "", STR_ARG(message));
        } else if (!str_is(status, "True") && (reason.n > 0 || message.n > 0)) {
            blanks(out, status_width - status.n);
            buf_printf(out, "  %.*s%s%.*s", STR_ARG(reason), reason.n > 0 && message.n > 0 ? ": " : "",
                       STR_ARG(message));
        }
        buf_putc(out, '\n');
    }
}

/* "3m (x4 over 10m)" */
static const char *event_age(struct arena *a, struct mp e, int64_t now_ms)
{
    int64_t first, last;
    char last_text[TIMEFMT_SIZE], first_text[TIMEFMT_SIZE];
    struct str when = mp_str(mp_get(e, "lastTimestamp"));
    when = when.n > 0 ? when : mp_str(mp_get(e, "eventTime"));
    when = when.n > 0 ? when : mp_str(mp_path(e, "metadata.creationTimestamp"));
    if (!timefmt_parse(when, &last)) {
        return "<unknown>";
    }
    timefmt_age(MAX(now_ms - last, 0), last_text);
    int64_t count = mp_int(mp_get(e, "count"), 1);
    if (count <= 1 || !timefmt_parse(mp_str(mp_get(e, "firstTimestamp")), &first)) {
        return arena_strdup(a, last_text);
    }
    timefmt_age(MAX(now_ms - first, 0), first_text);
    return arena_printf(a, "%s (x%" PRId64 " over %s)", last_text, count, first_text);
}

void describe_indented(struct buf *out, const char *text)
{
    while (*text != '\0') {
        const char *end = strchr(text, '\n');
        size_t n = end == NULL ? strlen(text) : (size_t)(end - text) + 1;
        buf_puts(out, "  ");
        buf_append(out, text, n);
        text += n;
    }
}

void describe_events(struct buf *out, const struct describe_context *c)
{
    if (c->events.count == 0) {
        buf_puts(out, c->without_events ? "" : "Events:  <none>\n");
        return;
    }
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    CLEANUP_BUF struct buf table = BUF_INIT;
    const char **cells = arena_alloc(&a, 5 * ((size_t)c->events.count + 2) * sizeof(*cells));
    static const char *const head[] = {"Type", "Reason", "Age",  "From", "Message",
                                       "----", "------", "----", "----", "-------"};
    memcpy(cells, head, sizeof(head));
    for (unsigned i = 0; i < c->events.count; i++) {
        struct mp e = object_mp(c->events.items[i]);
        struct str from = mp_str(mp_path(e, "source.component"));
        from = from.n > 0 ? from : mp_str(mp_get(e, "reportingComponent"));
        struct str parts[] = {mp_str(mp_get(e, "type")), mp_str(mp_get(e, "reason")), STR_NONE, from,
                              mp_str(mp_get(e, "message"))};
        for (unsigned k = 0; k < 5; k++) {
            cells[10 + 5 * i + k] =
                k == 2 ? event_age(&a, e, c->now_ms) : arena_strndup(&a, parts[k].n ? parts[k].p : "", parts[k].n);
        }
    }
    grid_print(&table, cells, 5, c->events.count + 2);
    buf_puts(out, "Events:\n");
    describe_indented(out, buf_cstr(&table));
}

void describe_title(struct buf *out, struct str name)
{
    for (size_t i = 0; i < name.n; i++) {
        char ch = name.p[i];
        bool upper = ch >= 'A' && ch <= 'Z';
        bool before = i > 0 && name.p[i - 1] >= 'a' && name.p[i - 1] <= 'z';
        if (upper && before) {
            buf_putc(out, ' ');
        }
        buf_putc(out, i == 0 && ch >= 'a' && ch <= 'z' ? (char)(ch - 'a' + 'A') : ch);
    }
}

void describe_scalar(struct buf *out, struct mp v)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct value *doc;
    struct str s = mp_str(v);
    if (s.p != NULL) {
        buf_append_str(out, s);
    } else if (msgpack_read_value(&a, v.p, (size_t)(v.end - v.p), &doc, NULL) == 0) {
        json_write(out, doc, 0);
    }
}

void describe_value(struct buf *out, struct mp v, unsigned level)
{
    for (struct mp_iter it = mp_iter(v); mp_next(&it);) {
        bool nested = mp_type(it.value) == MP_MAP || mp_type(it.value) == MP_ARRAY;
        blanks(out, level * DESCRIBE_TAB);
        if (it.is_map) {
            describe_title(out, it.key);
            buf_puts(out, ":");
        } else {
            buf_puts(out, "-");
        }
        if (!nested) {
            buf_puts(out, it.is_map ? "  " : " ");
            describe_scalar(out, it.value);
        }
        buf_putc(out, '\n');
        if (nested) {
            describe_value(out, it.value, level + 1);
        }
    }
}
