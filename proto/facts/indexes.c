#include "proto/facts/indexes.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

/* One number at *p, at most 10 digits; -1: there is none. */
static int64_t number_read(const char **p, const char *end)
{
    const char *from = *p;
    int64_t n = 0;
    while (*p < end && **p >= '0' && **p <= '9' && *p - from < 10) {
        n = n * 10 + (*(*p)++ - '0');
    }
    return *p == from ? -1 : n;
}

static void span_add(struct indexes *s, struct arena *a, int64_t from, int64_t to)
{
    s->spans = arena_grow(a, s->spans, s->count, &s->cap, sizeof *s->spans, 8);
    s->spans[s->count++] = (struct index_span){from, to};
}

bool indexes_parse(struct indexes *s, struct arena *a, struct str text, int64_t below)
{
    const char *p = text.p, *end = text.n == 0 ? p : p + text.n;
    int64_t last = -1;
    *s = (struct indexes){0};
    while (p < end) {
        int64_t from = number_read(&p, end), to = from;
        if (from >= 0 && p < end && *p == '-') {
            p++;
            to = number_read(&p, end);
        }
        if (from <= last || to < from || to >= below || (p < end && *p != ',') || (p + 1 == end)) {
            *s = (struct indexes){0};
            return false;
        }
        p += p < end;
        if (s->count > 0 && from == last + 1) {
            s->spans[s->count - 1].to = to;
        } else {
            span_add(s, a, from, to);
        }
        last = to;
    }
    return true;
}

void indexes_write(struct buf *out, const struct indexes *s)
{
    for (unsigned i = 0; i < s->count; i++) {
        const struct index_span *x = &s->spans[i];
        buf_printf(out, "%s%" PRId64, i > 0 ? "," : "", x->from);
        if (x->to > x->from) {
            buf_printf(out, "%c%" PRId64, x->to == x->from + 1 ? ',' : '-', x->to);
        }
    }
}

/* The first span that does not end before n. */
static unsigned span_find(const struct indexes *s, int64_t n)
{
    unsigned low = 0, high = s->count;
    while (low < high) {
        unsigned mid = (low + high) / 2;
        if (s->spans[mid].to < n) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

bool indexes_has(const struct indexes *s, int64_t n)
{
    unsigned i = span_find(s, n);
    return i < s->count && s->spans[i].from <= n;
}

int64_t indexes_after(const struct indexes *s, int64_t n)
{
    unsigned i = span_find(s, n);
    return i < s->count && s->spans[i].from <= n ? s->spans[i].to + 1 : n;
}

int64_t indexes_count(const struct indexes *s)
{
    int64_t n = 0;
    for (unsigned i = 0; i < s->count; i++) {
        n += s->spans[i].to - s->spans[i].from + 1;
    }
    return n;
}

void indexes_add(struct indexes *s, struct arena *a, int64_t n)
{
    assert(n >= 0);
    unsigned i = span_find(s, n);
    if (i < s->count && s->spans[i].from <= n) {
        return;
    }
    bool before = i > 0 && s->spans[i - 1].to + 1 == n, after = i < s->count && s->spans[i].from == n + 1;
    if (before && after) {
        s->spans[i - 1].to = s->spans[i].to;
        memmove(&s->spans[i], &s->spans[i + 1], (s->count - i - 1) * sizeof *s->spans);
        s->count--;
    } else if (before) {
        s->spans[i - 1].to = n;
    } else if (after) {
        s->spans[i].from = n;
    } else {
        span_add(s, a, n, n);
        memmove(&s->spans[i + 1], &s->spans[i], (s->count - 1 - i) * sizeof *s->spans);
        s->spans[i] = (struct index_span){n, n};
    }
}

bool indexes_cut(struct indexes *s, int64_t below)
{
    unsigned i = span_find(s, below);
    bool cuts = i < s->count;
    if (cuts && s->spans[i].from < below) {
        s->spans[i].to = below - 1;
        i++;
    }
    s->count = i;
    return cuts;
}

int64_t indexes_common(const struct indexes *x, const struct indexes *y)
{
    int64_t n = 0;
    for (unsigned i = 0, k = 0; i < x->count && k < y->count;) {
        int64_t from = MAX(x->spans[i].from, y->spans[k].from), to = MIN(x->spans[i].to, y->spans[k].to);
        n += to >= from ? to - from + 1 : 0;
        if (x->spans[i].to < y->spans[k].to) {
            i++;
        } else {
            k++;
        }
    }
    return n;
}
