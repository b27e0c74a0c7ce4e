#include "client/cmd/show.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "client/ui/jsonpath.h"
#include "proto/facts/event.h"
#include "proto/model/quantity.h"
#include "proto/text/text.h"

/* ---- Order ---- */

struct sortable {
    struct object *object;
    const struct value *key;
    unsigned index;
    bool by_first; /* an event, by when it was made: equal keys say only the second */
};

/* Digits count as numbers. */
static int compare_natural(struct str x, struct str y)
{
    size_t i = 0, k = 0;
    while (i < x.n && k < y.n) {
        if (!isdigit((unsigned char)x.p[i]) || !isdigit((unsigned char)y.p[k])) {
            if (x.p[i] != y.p[k]) {
                return (unsigned char)x.p[i] < (unsigned char)y.p[k] ? -1 : 1;
            }
            i++;
            k++;
            continue;
        }
        while (i < x.n && x.p[i] == '0') {
            i++;
        }
        while (k < y.n && y.p[k] == '0') {
            k++;
        }
        size_t from_x = i, from_y = k;
        while (i < x.n && isdigit((unsigned char)x.p[i])) {
            i++;
        }
        while (k < y.n && isdigit((unsigned char)y.p[k])) {
            k++;
        }
        struct str a = {x.p + from_x, i - from_x}, b = {y.p + from_y, k - from_y};
        int c = a.n != b.n ? (a.n < b.n ? -1 : 1) : str_cmp(a, b);
        if (c != 0) {
            return c;
        }
    }
    return (x.n - i > 0) - (y.n - k > 0);
}

static bool is_number(const struct value *v)
{
    return v->type == VALUE_INT || v->type == VALUE_FLOAT;
}

static double number_of(const struct value *v)
{
    return v->type == VALUE_INT ? (double)v->integer : v->number;
}

static int compare_keys(const struct value *x, const struct value *y)
{
    if (x == NULL || y == NULL) {
        return (x != NULL) - (y != NULL);
    }
    if (x->type == VALUE_INT && y->type == VALUE_INT) {
        return (x->integer > y->integer) - (x->integer < y->integer);
    }
    if (is_number(x) && is_number(y)) {
        return (number_of(x) > number_of(y)) - (number_of(x) < number_of(y));
    }
    if (x->type == VALUE_BOOL && y->type == VALUE_BOOL) {
        return (int)x->boolean - (int)y->boolean;
    }
    struct str a = value_to_str(x), b = value_to_str(y);
    if (quantity_valid(a) && quantity_valid(b)) {
        return quantity_cmp(a, b);
    }
    return compare_natural(a, b);
}

static int compare_sortables(const void *x, const void *y)
{
    const struct sortable *a = x, *b = y;
    int c = compare_keys(a->key, b->key);
    if (c == 0 && a->by_first && b->by_first) {
        c = event_compare_first(a->object, b->object);
    }
    return c != 0 ? c : (a->index > b->index) - (a->index < b->index);
}

int get_sort(struct arena *a, const char *path, struct object **items, unsigned count, struct error *err)
{
    struct sortable *s = arena_alloc(a, ((size_t)count + 1) * sizeof(*s));
    unsigned with = 0;
    bool by_first = strstr(path, "creationTimestamp") != NULL || strstr(path, "firstTimestamp") != NULL;
    for (unsigned i = 0; i < count; i++) {
        const struct value **found;
        unsigned hits;
        int rc = jsonpath_find(a, print_document(a, items[i]), path, &found, &hits, err);
        if (rc != 0) {
            return error_wrap(err, "--sort-by");
        }
        s[i] = (struct sortable){items[i], hits > 0 ? found[0] : NULL, i, by_first && items[i]->kind->id == KIND_EVENT};
        with += hits > 0;
    }
    if (count > 0 && with == 0) {
        return error_set(err, ERR_USAGE, "--sort-by: no object of the list has a field \"%s\"", path);
    }
    if (count > 1) {
        qsort(s, count, sizeof(*s), compare_sortables);
    }
    for (unsigned i = 0; i < count; i++) {
        items[i] = s[i].object;
    }
    return 0;
}

static int compare_events(const void *x, const void *y)
{
    return event_compare(*(struct object *const *)x, *(struct object *const *)y);
}

void get_sort_events(struct object **items, unsigned count)
{
    if (count > 1) {
        qsort(items, count, sizeof(*items), compare_events);
    }
}

void get_note_nothing(struct rctl *r, const struct kind *k)
{
    if (!k->namespaced || opt_flag(r, "all-namespaces")) {
        rctl_note(r, "No resources found");
    } else {
        rctl_note(r, "No resources found in %s namespace.", rctl_namespace(r));
    }
}

/* ---- Watches ---- */

static const char *watch_event_name(enum api_event type)
{
    return type == API_DELETED ? "DELETED" : type == API_MODIFIED ? "MODIFIED" : "ADDED";
}

/* {type, object}, as --output-watch-events has it. */
static void print_event(struct get_watch *w, struct arena *a, struct buf *out, enum api_event type,
                        const struct object *o)
{
    struct value *doc = value_map(a);
    value_set(a, doc, "object", print_document(a, o));
    value_set(a, doc, "type", value_cstr(a, watch_event_name(type)));
    if (w->o->form == PRINT_YAML) {
        yaml_write(out, doc);
    } else {
        json_write(out, doc, 4);
        buf_putc(out, '\n');
    }
}

static void watch_print(struct get_watch *w, enum api_event type, struct object *const *objects, unsigned count)
{
    CLEANUP_BUF struct buf out = BUF_INIT;
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    bool table = w->o->form == PRINT_TABLE || w->o->form == PRINT_WIDE;
    bool document = w->o->form == PRINT_YAML || w->o->form == PRINT_JSON;
    w->o->event = w->events ? watch_event_name(type) : NULL;
    if (table) {
        print_table(&out, w->o, w->kind, objects, count, rctl_now_ms(), &w->widths);
    }
    for (unsigned i = 0; i < count && !table; i++) {
        buf_puts(&out, w->o->form == PRINT_YAML ? "---\n" : "");
        if (w->events && document) {
            print_event(w, &a, &out, type, objects[i]);
            continue;
        }
        print_objects(&a, &out, w->o, objects + i, 1, true, &w->err);
        w->o->no_headers |= w->o->form == PRINT_CUSTOM; /* the titles once, not above each row */
        buf_puts(&out, w->o->form == PRINT_JSONPATH ? "\n" : "");
    }
    (table ? rctl_write : rctl_write_data)(w->r, &out);
    fflush(w->r->out);
    fflush(w->r->raw_out);
}

static bool watch_event(enum api_event type, const struct object *o, uint64_t revision, void *data)
{
    (void)revision;
    struct get_watch *w = data;
    if (type == API_SYNCED) {
        w->synced = true;
        if (!w->skip_first) {
            watch_print(w, API_ADDED, w->first.items, w->first.count);
        }
        return !ferror(w->r->out) && !ferror(w->r->raw_out);
    }
    if (w->wanted != NULL && !w->wanted(o, w->data)) {
        return true;
    }
    struct object *mine = object_ref((struct object *)o);
    if (w->synced) {
        watch_print(w, type, &mine, 1);
        object_unref(mine);
    } else {
        w->first.items = xrealloc(w->first.items, (w->first.count + 1) * sizeof(mine));
        w->first.items[w->first.count++] = mine;
    }
    return w->err.code == 0 && !ferror(w->r->out) && !ferror(w->r->raw_out);
}

int get_watch_run(struct get_watch *w, const struct api_list_query *q)
{
    int rc = api_watch(w->r->api, q, 0, watch_event, w, &w->err);
    api_list_close(&w->first);
    return rc != 0 || w->err.code != 0 ? rctl_fail(w->r, &w->err) : EXIT_DONE;
}
