#include "tests/fault/copy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/text/text.h"
#include "tests/fault/kit.h"

void copy_close(struct copy *c)
{
    buf_close(&c->listed);
}

void copy_wrong(struct copy *c, const char *what, struct str text)
{
    if (c->w->wrong[0] == '\0') {
        snprintf(c->w->wrong, sizeof c->w->wrong, "%s: %.*s", what, (int)MIN(text.n, (size_t)150),
                 text.n == 0 ? "" : text.p);
    }
    c->failed = true;
}

static void put_text(char *to, size_t size, struct str s)
{
    snprintf(to, size, "%.*s", STR_ARG(s));
}

static uint64_t number_in(struct str s)
{
    int64_t n = 0;
    return str_to_int64(s, &n) ? (uint64_t)n : 0;
}

uint64_t copy_version(const struct copy *c)
{
    return number_in(str_of(c->version));
}

void copy_forget(struct copy *c)
{
    c->version[0] = c->told[0] = '\0';
}

/* ---- What is held ---- */

static struct watched *find(const struct buf *held, struct str name)
{
    struct watched *all = (struct watched *)(void *)held->data;
    for (size_t i = 0; i < held->size / sizeof *all; i++) {
        if (str_is(name, all[i].name)) {
            return &all[i];
        }
    }
    return NULL;
}

static void hold(struct buf *held, struct str name, int64_t number)
{
    struct watched one = {.number = number}, *had = find(held, name);
    put_text(one.name, sizeof one.name, name);
    if (had != NULL) {
        *had = one;
    } else {
        buf_append(held, &one, sizeof one);
    }
}

static void let_go(struct buf *held, struct watched *gone)
{
    const struct watched *all = (const void *)held->data;
    *gone = all[held->size / sizeof *all - 1];
    held->size -= sizeof *all;
}

static int64_t number_of(const struct value *object)
{
    char text[32];
    put_text(text, sizeof text, value_path_str(object, "data.v"));
    return strtoll(text, NULL, 10);
}

static void reached(struct copy *c, struct str name)
{
    if (str_is(name, c->w->last)) {
        __atomic_store_n(&c->w->complete, true, __ATOMIC_RELEASE);
    }
}

/* ---- What is there ---- */

void copy_begin(struct copy *c)
{
    buf_reset(&c->listed);
}

static void list_one(struct copy *c, const struct value *object)
{
    struct str name = value_path_str(object, "metadata.name");
    if (find(&c->listed, name) != NULL) {
        copy_wrong(c, "listed twice", name);
        return;
    }
    hold(&c->listed, name, number_of(object));
}

void copy_page(struct copy *c, const struct value *items)
{
    VALUE_FOR(i, items)
    {
        list_one(c, value_item(items, i));
    }
}

void copy_listed(struct copy *c, struct str version)
{
    if (number_in(version) < number_in(str_of(c->told))) {
        copy_wrong(c, "a list behind what was told", version);
    }
    put_text(c->version, sizeof c->version, version);
    put_text(c->told, sizeof c->told, version);
    size_t op = hist_told(&c->w->hist, c->w->process, HIST_LIST, copy_version(c), fault_now_us());
    const struct watched *l = (const void *)c->listed.data;
    buf_reset(&c->w->held);
    buf_append(&c->w->held, c->listed.data, c->listed.size);
    for (size_t i = 0; i < c->listed.size / sizeof *l; i++) {
        hist_step_put(&c->w->hist, op, l[i].name, (struct hist_value){.there = true, .number = l[i].number});
        reached(c, str_of(l[i].name));
    }
    c->listing = false;
    buf_reset(&c->listed);
    __atomic_store_n(&c->w->synced, true, __ATOMIC_RELEASE);
}

/* ---- Streams ---- */

/* What is held is what there was right before it, if nothing was left out: an event says what became of that. */
static bool fits(const struct copy *c, struct str type, struct str name, int64_t number)
{
    const struct watched *had = find(&c->w->held, name);
    return had == NULL ? str_is(type, "ADDED")
                       : str_is(type, "MODIFIED") || (str_is(type, "DELETED") && had->number == number);
}

static void event_is_told(struct copy *c, struct str type, const struct value *object, struct str version,
                          struct str line)
{
    struct str name = value_path_str(object, "metadata.name");
    int64_t number = number_of(object);
    CLEANUP_FREE char *key = xstrndup(name.p, name.n);
    if (number_in(version) <= copy_version(c)) {
        copy_wrong(c, "an event behind what was told", line);
    } else if (!fits(c, type, name, number)) {
        copy_wrong(c, "an event of what is not held so", line);
    }
    put_text(c->version, sizeof c->version, version);
    put_text(c->told, sizeof c->told, version);
    size_t op = hist_told(&c->w->hist, c->w->process, HIST_EVENT, copy_version(c), fault_now_us());
    struct watched *had = find(&c->w->held, name);
    if (!str_is(type, "DELETED")) {
        hist_step_put(&c->w->hist, op, key, (struct hist_value){.there = true, .number = number});
        hold(&c->w->held, name, number);
    } else {
        hist_step_delete(&c->w->hist, op, key);
        if (had != NULL) {
            let_go(&c->w->held, had);
        }
    }
    reached(c, name);
}

static void mark_is_told(struct copy *c, const struct value *object, struct str version)
{
    const struct value *notes = value_path(object, "metadata.annotations");
    bool first = str_is(value_to_str(value_get(notes, "k8s.io/initial-events-end")), "true");
    if (first != c->listing) {
        copy_wrong(c, "a mark that does not fit", version);
    } else if (c->listing) {
        copy_listed(c, version);
    } else if (number_in(version) < copy_version(c)) {
        copy_wrong(c, "a mark behind what was told", version);
    } else {
        put_text(c->version, sizeof c->version, version);
        put_text(c->told, sizeof c->told, version);
        c->w->marked++;
    }
}

static void error_is_told(struct copy *c, const struct value *status)
{
    const struct value *code = value_get(status, "code");
    c->failed = true;
    c->expired = code != NULL && code->type == VALUE_INT && code->integer == 410;
}

void copy_line(struct copy *c, struct str line)
{
    CLEANUP_ARENA struct arena a;
    struct value *doc = NULL;
    arena_init(&a);
    if (json_read(&a, line, &doc, NULL) != 0) {
        copy_wrong(c, "no JSON", line);
        return;
    }
    struct str type = value_path_str(doc, "type"), version = value_path_str(doc, "object.metadata.resourceVersion");
    const struct value *object = value_get(doc, "object");
    if (str_is(type, "ERROR")) {
        error_is_told(c, object);
    } else if (version.n == 0) {
        copy_wrong(c, "an event without a version", line);
    } else if (str_is(type, "BOOKMARK")) {
        mark_is_told(c, object, version);
    } else if (!c->listing) {
        event_is_told(c, type, object, version, line);
    } else if (str_is(type, "ADDED")) {
        list_one(c, object);
    } else {
        copy_wrong(c, "a change before the first mark", line);
    }
}
