/* Histories as JSON lines. The format stands in history.h; each function has a shape, and each shape one reader and
 * one writer. */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "proto/text/text.h"
#include "tests/check/history.h"

/* How the value of a function looks. */
enum shape {
    SHAPE_KEY_VALUE, /* ["x",5] */
    SHAPE_KEY,       /* ["x"] */
    SHAPE_KEY_CAS,   /* ["x",[3,5]] */
    SHAPE_STEPS,     /* [["append","x",5],["r","y",null]] */
    SHAPE_TRANSFER,  /* {"from":"a","to":"b","amount":5} */
    SHAPE_ACCOUNTS,  /* {"a":95,"b":105} */
    SHAPE_REVISION,  /* 7 */
    SHAPE_OBJECTS,   /* {"revision":7,"objects":[["x",5]]} */
    SHAPE_CHANGES,   /* {"revision":8,"changes":[["put","x",6],["delete","y"]]} */
};
static const struct {
    const char *name;
    enum hist_f f;
    enum shape shape;
    enum hist_verb verb;
    bool told; /* a line of its own, without invocation */
} functions[] = {
    {"add", HIST_ADD, SHAPE_KEY_VALUE, STEP_APPEND, false},
    {"append", HIST_TXN, SHAPE_KEY_VALUE, STEP_APPEND, false},
    {"balances", HIST_BALANCES, SHAPE_ACCOUNTS, STEP_READ, false},
    {"cas", HIST_CAS, SHAPE_KEY_CAS, STEP_CAS, false},
    {"drain", HIST_DRAIN, SHAPE_KEY_VALUE, STEP_READ, false},
    {"enqueue", HIST_ENQUEUE, SHAPE_KEY_VALUE, STEP_APPEND, false},
    {"event", HIST_EVENT, SHAPE_CHANGES, STEP_PUT, true},
    {"list", HIST_LIST, SHAPE_OBJECTS, STEP_PUT, true},
    {"log", HIST_LOG, SHAPE_CHANGES, STEP_PUT, true},
    {"members", HIST_MEMBERS, SHAPE_KEY_VALUE, STEP_READ, false},
    {"read", HIST_READ, SHAPE_KEY_VALUE, STEP_READ, false},
    {"remove", HIST_REMOVE, SHAPE_KEY, STEP_DELETE, false},
    {"resume", HIST_RESUME, SHAPE_REVISION, STEP_PUT, true},
    {"transfer", HIST_TRANSFER, SHAPE_TRANSFER, STEP_MOVE, false},
    {"txn", HIST_TXN, SHAPE_STEPS, STEP_READ, false},
    {"write", HIST_WRITE, SHAPE_KEY_VALUE, STEP_WRITE, false},
};

/* ---- Reading ---- */

struct reader {
    struct hist *h;
    const char *name;
    unsigned line;
    struct strmap open; /* process -> its operation under way, number + 1 */
    struct error *err;
};

static int wrong(struct reader *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static int wrong(struct reader *r, const char *fmt, ...)
{
    char text[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return error_set(r->err, ERR_INVALID, "%s:%u: %s", r->name, r->line, text);
}

static bool is_int(const struct value *v)
{
    return v != NULL && v->type == VALUE_INT;
}

static struct hist_value number_of(const struct value *v)
{
    return is_int(v) ? (struct hist_value){true, v->integer} : (struct hist_value){0};
}

/* A key as C string in the line's arena; NULL if v is none. */
static const char *key_of(struct arena *a, const struct value *v)
{
    return value_is_str(v) ? arena_strndup(a, v->str.p, v->str.n) : NULL;
}

/* The result of a read: a number, a list of numbers, or null, which is an answer only in a line of type ok. */
static int read_result(struct reader *r, size_t op, const struct value *v, bool ok)
{
    unsigned step = r->h->ops[op].steps_count - 1;
    bool lists = r->h->ops[op].f != HIST_READ;
    if (value_is_list(v) && lists) {
        CLEANUP_FREE int64_t *list = xcalloc(value_count(v) + 1, sizeof *list);
        VALUE_FOR(i, v)
        {
            if (!is_int(value_item(v, i))) {
                return wrong(r, "an element of a list that was read is no integer");
            }
            list[i] = value_item(v, i)->integer;
        }
        hist_result_list(r->h, op, step, list, value_count(v));
    } else if (value_is_null(v) && ok && lists) {
        hist_result_list(r->h, op, step, &(int64_t){0}, 0); /* what is not there has no elements */
    } else if (value_is_null(v) && ok) {
        hist_result_none(r->h, op, step);
    } else if (is_int(v) && !lists) {
        hist_result(r->h, op, step, v->integer);
    } else if (!value_is_null(v)) {
        return wrong(r, "the result of a read must be %s, or null", lists ? "a list of integers" : "an integer");
    }
    return 0;
}

static int read_key_value(struct reader *r, struct arena *a, size_t op, enum hist_verb verb, const struct value *v,
                          bool ok)
{
    const char *key = value_is_list(v) && value_count(v) == 2 ? key_of(a, value_item(v, 0)) : NULL;
    if (key == NULL) {
        return wrong(r, "value must be a pair like [\"x\",5]");
    }
    const struct value *second = value_item(v, 1);
    if (verb == STEP_READ) {
        hist_step_read(r->h, op, key);
        return read_result(r, op, second, ok);
    }
    if (!is_int(second)) {
        return wrong(r, "what is written must be an integer: [\"x\",5]");
    }
    if (verb == STEP_WRITE) {
        hist_step_write(r->h, op, key, second->integer);
    } else {
        hist_step_append(r->h, op, key, second->integer);
    }
    return 0;
}

static int read_key(struct reader *r, struct arena *a, size_t op, const struct value *v)
{
    const char *key = value_is_list(v) && value_count(v) == 1 ? key_of(a, value_item(v, 0)) : NULL;
    if (key == NULL) {
        return wrong(r, "the value of a removal must be like [\"x\"]");
    }
    hist_step_delete(r->h, op, key);
    return 0;
}

static int read_cas(struct reader *r, struct arena *a, size_t op, const struct value *v)
{
    const char *key = value_is_list(v) && value_count(v) == 2 ? key_of(a, value_item(v, 0)) : NULL;
    const struct value *pair = key == NULL ? NULL : value_item(v, 1);
    if (!value_is_list(pair) || value_count(pair) != 2 || !is_int(value_item(pair, 1)) ||
        (!is_int(value_item(pair, 0)) && !value_is_null(value_item(pair, 0)))) {
        return wrong(r, "the value of a cas must be like [\"x\",[3,5]], or [\"x\",[null,5]]");
    }
    hist_step_cas(r->h, op, key, number_of(value_item(pair, 0)), value_item(pair, 1)->integer);
    return 0;
}

static int read_steps(struct reader *r, struct arena *a, size_t op, const struct value *v, bool ok)
{
    if (!value_is_list(v)) {
        return wrong(r, "the value of a txn must be a list of steps");
    }
    VALUE_FOR(i, v)
    {
        const struct value *s = value_item(v, i);
        bool three = value_is_list(s) && value_count(s) == 3;
        struct str verb = three ? value_to_str(value_item(s, 0)) : STR_NONE;
        const char *key = three ? key_of(a, value_item(s, 1)) : NULL;
        if (key != NULL && str_is(verb, "append") && is_int(value_item(s, 2))) {
            hist_step_append(r->h, op, key, value_item(s, 2)->integer);
        } else if (key != NULL && str_is(verb, "r")) {
            hist_step_read(r->h, op, key);
            int rc = read_result(r, op, value_item(s, 2), ok);
            if (rc != 0) {
                return rc;
            }
        } else {
            return wrong(r, "a step of a txn must be like [\"append\",\"x\",5] or [\"r\",\"x\",null]");
        }
    }
    return 0;
}

static int read_transfer(struct reader *r, struct arena *a, size_t op, const struct value *v)
{
    const char *from = key_of(a, value_get(v, "from")), *to = key_of(a, value_get(v, "to"));
    const struct value *amount = value_get(v, "amount");
    if (from == NULL || to == NULL || !is_int(amount) || amount->integer == INT64_MIN) {
        return wrong(r, "the value of a transfer must be like {\"from\":\"a\",\"to\":\"b\",\"amount\":5}");
    }
    hist_step_move(r->h, op, from, -amount->integer);
    hist_step_move(r->h, op, to, amount->integer);
    return 0;
}

static int read_accounts(struct reader *r, struct arena *a, size_t op, const struct value *v, bool ok)
{
    if (!ok && value_is_null(v)) {
        return 0;
    }
    if (!value_is_map(v)) {
        return wrong(r, "the value of balances must be a map of accounts to integers");
    }
    for (unsigned i = 0; i < v->map.count; i++) {
        const struct value_member *m = &v->map.members[i];
        if (!is_int(m->value)) {
            return wrong(r, "the balance of account %.*s is no integer", STR_ARG(m->key));
        }
        hist_result_account(r->h, op, arena_strndup(a, m->key.p, m->key.n), m->value->integer);
    }
    return 0;
}

/* Objects of a list, or changes of an event: pairs behind their verb, if there is one. */
static int read_told(struct reader *r, struct arena *a, size_t op, const struct value *v, bool changes)
{
    const struct value *revision = value_get(v, "revision");
    const struct value *list = value_get(v, changes ? "changes" : "objects");
    if (!is_int(revision) || revision->integer < 0 || !value_is_list(list)) {
        return wrong(r, "value must be like {\"revision\":7,\"%s\":[...]}", changes ? "changes" : "objects");
    }
    hist_set_revision(r->h, op, (uint64_t)revision->integer);
    VALUE_FOR(i, list)
    {
        const struct value *s = value_item(list, i);
        unsigned n = value_is_list(s) ? value_count(s) : 0;
        struct str verb = !changes ? STR("put") : n > 0 ? value_to_str(value_item(s, 0)) : STR_NONE;
        const char *key = n > changes ? key_of(a, value_item(s, changes)) : NULL;
        const struct value *number = n == 2u + changes ? value_item(s, 1u + changes) : NULL;
        if (key != NULL && str_is(verb, "delete") && n == 2) {
            hist_step_delete(r->h, op, key);
        } else if (key != NULL && str_is(verb, "put") && number != NULL && (is_int(number) || value_is_null(number))) {
            hist_step_put(r->h, op, key, number_of(number));
        } else {
            return wrong(r, "%s",
                         changes ? "a change must be like [\"put\",\"x\",6] or [\"delete\",\"x\"]"
                                 : "an object must be like [\"x\",5]");
        }
    }
    return 0;
}

static int read_value(struct reader *r, struct arena *a, size_t op, size_t function, const struct value *v, bool ok)
{
    switch (functions[function].shape) {
    case SHAPE_KEY_VALUE:
        return read_key_value(r, a, op, functions[function].verb, v, ok);
    case SHAPE_KEY:
        return read_key(r, a, op, v);
    case SHAPE_KEY_CAS:
        return read_cas(r, a, op, v);
    case SHAPE_STEPS:
        return read_steps(r, a, op, v, ok);
    case SHAPE_TRANSFER:
        return read_transfer(r, a, op, v);
    case SHAPE_ACCOUNTS:
        return read_accounts(r, a, op, v, ok);
    case SHAPE_REVISION:
        if (!is_int(v) || v->integer < 0) {
            return wrong(r, "the value of a resume must be a revision");
        }
        hist_set_revision(r->h, op, (uint64_t)v->integer);
        return 0;
    case SHAPE_OBJECTS:
        return read_told(r, a, op, v, false);
    case SHAPE_CHANGES:
        return read_told(r, a, op, v, true);
    }
    abort();
}

static int read_note(struct reader *r, struct str f, const struct value *v)
{
    if (str_is(f, "registers")) {
        r->h->initial = number_of(value_get(v, "initial"));
    } else if (str_is(f, "bank")) {
        r->h->total = number_of(value_get(v, "total"));
        r->h->overdraft = value_to_bool(value_get(v, "overdraft"), false);
    } else if (str_is(f, "watch")) {
        r->h->watch_complete = value_to_bool(value_get(v, "complete"), false);
    } else {
        return wrong(r, "a note must be of registers, bank or watch");
    }
    return 0;
}

static int read_operation(struct reader *r, struct arena *a, const struct value *line, struct str type, size_t function)
{
    const struct value *process = value_get(line, "process"), *time = value_get(line, "time");
    const struct value *v = value_get(line, "value");
    if (!is_int(process) || !is_int(time)) {
        return wrong(r, "process and time must be integers");
    }
    struct str key = {(const char *)&process->integer, sizeof process->integer};
    int64_t now_us = time->integer / 1000;
    size_t at = (size_t)(uintptr_t)strmap_get(&r->open, key);
    bool ok = str_is(type, "ok"), told = functions[function].told;
    if (str_is(type, "invoke") || told) {
        if (at != 0) {
            return wrong(r, "process %" PRId64 " is busy with %s still", process->integer,
                         hist_f_name(r->h->ops[at - 1].f));
        }
        if (r->h->count == HIST_OPS_MAX) {
            return wrong(r, "more than %u operations", HIST_OPS_MAX);
        }
        if (told && !ok) {
            return wrong(r, "%s is of type ok", functions[function].name);
        }
        at = 1 + hist_invoke(r->h, process->integer, functions[function].f, now_us);
    } else if (at == 0 || r->h->ops[at - 1].f != functions[function].f) {
        return wrong(r, "process %" PRId64 " has not invoked %s", process->integer, functions[function].name);
    }
    struct hist_op *op = &r->h->ops[at - 1];
    if (!value_is_null(v) || ok || str_is(type, "invoke")) {
        op->steps_count = 0; /* the completion's value replaces the invocation's */
        int rc = read_value(r, a, at - 1, function, v, ok);
        if (rc != 0) {
            return rc;
        }
    }
    if (is_int(value_get(line, "revision"))) {
        hist_set_revision(r->h, at - 1, (uint64_t)value_get(line, "revision")->integer);
    }
    if (op->f == HIST_CAS && str_is(type, "fail") && value_to_bool(value_get(line, "refused"), false)) {
        hist_set_refused(r->h, at - 1);
    }
    if (value_is_str(value_get(line, "error"))) {
        hist_set_error(r->h, at - 1, key_of(a, value_get(line, "error")));
    }
    if (str_is(type, "invoke")) {
        strmap_set(&r->open, key, (void *)(uintptr_t)at);
        return 0;
    }
    strmap_remove(&r->open, key);
    if (now_us < op->start_us) {
        return wrong(r, "completed before it was invoked");
    }
    hist_complete(r->h, at - 1, ok ? HIST_OK : str_is(type, "fail") ? HIST_FAIL : HIST_INFO, now_us);
    return 0;
}

static int read_line(struct reader *r, struct str text)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct value *line;
    if (json_read(&a, text, &line, r->err) != 0) {
        return error_wrap(r->err, "%s:%u", r->name, r->line);
    }
    struct str type = value_to_str(value_get(line, "type")), f = value_to_str(value_get(line, "f"));
    if (str_is(value_to_str(value_get(line, "process")), "nemesis")) {
        return 0;
    }
    if (str_is(type, "note")) {
        return read_note(r, f, value_get(line, "value"));
    }
    if (!str_is(type, "invoke") && !str_is(type, "ok") && !str_is(type, "fail") && !str_is(type, "info")) {
        return wrong(r, "type must be invoke, ok, fail, info or note");
    }
    for (size_t i = 0; i < ARRAY_SIZE(functions); i++) {
        if (str_is(f, functions[i].name)) {
            return read_operation(r, &a, line, type, i);
        }
    }
    return wrong(r, "unknown function \"%.*s\"; tests/check/history.h lists them", STR_ARG(f));
}

int hist_read_stream(struct hist *h, FILE *f, const char *name, struct error *err)
{
    struct reader r = {.h = h, .name = name, .err = err};
    char *text = NULL;
    size_t cap = 0;
    ssize_t n;
    int rc = 0;
    strmap_init(&r.open);
    while (rc == 0 && (n = getline(&text, &cap, f)) > 0) {
        r.line++;
        n -= text[n - 1] == '\n';
        if (n > (ssize_t)HIST_LINE_MAX) {
            rc = wrong(&r, "a line of more than %u bytes", HIST_LINE_MAX);
        } else if (n > 0) {
            rc = read_line(&r, (struct str){text, (size_t)n});
        }
    }
    if (rc == 0 && ferror(f)) {
        rc = error_set_errno(err, errno, "read %s", name);
    }
    free(text);
    strmap_close(&r.open);
    hist_sort(h);
    return rc;
}

int hist_read_file(struct hist *h, const char *path, struct error *err)
{
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        return error_set_errno(err, errno, "open history %s", path);
    }
    int rc = hist_read_stream(h, f, path, err);
    fclose(f);
    return rc;
}

/* ---- Writing ---- */

static void put_value(struct buf *out, struct hist_value v)
{
    if (v.there) {
        buf_printf(out, "%" PRId64, v.number);
    } else {
        buf_puts(out, "null");
    }
}

static void put_text(struct buf *out, const char *s)
{
    struct value v = {.type = VALUE_STR, .str = str_of(s)};
    json_write(out, &v, 0);
}

/* What a step has behind its key. Results stand in completions only. */
static void put_second(struct buf *out, const struct hist_step *s, bool done)
{
    if (s->verb == STEP_READ && (!s->answered || !done)) {
        buf_puts(out, "null");
    } else if (s->is_list) {
        buf_putc(out, '[');
        for (unsigned i = 0; i < s->list_count; i++) {
            buf_printf(out, "%s%" PRId64, i == 0 ? "" : ",", s->list[i]);
        }
        buf_putc(out, ']');
    } else if (s->verb == STEP_CAS) {
        buf_putc(out, '[');
        put_value(out, s->expected);
        buf_putc(out, ',');
        put_value(out, s->value);
        buf_putc(out, ']');
    } else {
        put_value(out, s->value);
    }
}

static void put_step(struct buf *out, const struct hist_step *s, const char *verb, bool done)
{
    buf_putc(out, '[');
    if (verb != NULL) {
        buf_printf(out, "\"%s\",", verb);
    }
    put_text(out, s->key);
    if (s->verb != STEP_DELETE) {
        buf_putc(out, ',');
        put_second(out, s, done);
    }
    buf_putc(out, ']');
}

static const char *const verbs[] = {
    [STEP_READ] = "r", [STEP_APPEND] = "append", [STEP_PUT] = "put", [STEP_DELETE] = "delete"};

static void put_steps(struct buf *out, const struct hist_op *op, bool with_verbs, bool done)
{
    buf_putc(out, '[');
    for (unsigned i = 0; i < op->steps_count; i++) {
        buf_puts(out, i == 0 ? "" : ",");
        put_step(out, &op->steps[i], with_verbs ? verbs[op->steps[i].verb] : NULL, done);
    }
    buf_putc(out, ']');
}

static void put_accounts(struct buf *out, const struct hist_op *op)
{
    buf_putc(out, '{');
    for (unsigned i = 0; i < op->steps_count; i++) {
        buf_puts(out, i == 0 ? "" : ",");
        put_text(out, op->steps[i].key);
        buf_putc(out, ':');
        put_value(out, op->steps[i].value);
    }
    buf_putc(out, '}');
}

static void put_operation_value(struct buf *out, const struct hist_op *op, bool done)
{
    const struct hist_step *s = op->steps;
    switch (op->f) {
    case HIST_TXN:
        put_steps(out, op, true, done);
        break;
    case HIST_TRANSFER:
        assert(op->steps_count == 2);
        buf_puts(out, "{\"from\":");
        put_text(out, s[0].key);
        buf_puts(out, ",\"to\":");
        put_text(out, s[1].key);
        buf_printf(out, ",\"amount\":%" PRId64 "}", s[1].value.number);
        break;
    case HIST_BALANCES:
        if (done) {
            put_accounts(out, op);
        } else {
            buf_puts(out, "null");
        }
        break;
    case HIST_RESUME:
        buf_printf(out, "%" PRIu64, op->revision);
        break;
    case HIST_LIST:
    case HIST_EVENT:
    case HIST_LOG:
        buf_printf(out, "{\"revision\":%" PRIu64 ",\"%s\":", op->revision, op->f == HIST_LIST ? "objects" : "changes");
        put_steps(out, op, op->f != HIST_LIST, true);
        buf_putc(out, '}');
        break;
    default:
        assert(op->steps_count == 1);
        put_step(out, &s[0], NULL, done);
    }
}

static void put_line(struct buf *out, const struct hist_op *op, bool completion)
{
    static const char *const outcomes[] = {"info", "ok", "fail"};
    bool told = op->f >= HIST_RESUME;
    int64_t us = completion && op->end_us != HIST_NEVER ? op->end_us : op->start_us;
    buf_printf(out, "{\"process\":%" PRId64 ",\"type\":\"%s\",\"f\":\"%s\",\"value\":", op->process,
               completion ? outcomes[op->outcome] : "invoke", hist_f_name(op->f));
    put_operation_value(out, op, completion && op->outcome == HIST_OK);
    buf_printf(out, ",\"time\":%" PRId64, us * 1000);
    if (completion && op->revision != 0 && !told) {
        buf_printf(out, ",\"revision\":%" PRIu64, op->revision);
    }
    if (completion && op->refused) {
        buf_puts(out, ",\"refused\":true");
    }
    if (completion && op->error != NULL) {
        buf_puts(out, ",\"error\":");
        put_text(out, op->error);
    }
    buf_puts(out, "}\n");
}

static void put_notes(struct buf *out, const struct hist *h)
{
    if (h->initial.there) {
        buf_printf(out, "{\"type\":\"note\",\"f\":\"registers\",\"value\":{\"initial\":%" PRId64 "}}\n",
                   h->initial.number);
    }
    if (h->watch_complete) {
        buf_puts(out, "{\"type\":\"note\",\"f\":\"watch\",\"value\":{\"complete\":true}}\n");
    }
    if (h->total.there || h->overdraft) {
        buf_puts(out, "{\"type\":\"note\",\"f\":\"bank\",\"value\":{\"total\":");
        put_value(out, h->total);
        buf_printf(out, ",\"overdraft\":%s}}\n", h->overdraft ? "true" : "false");
    }
}

struct mark {
    int64_t us;
    size_t op;
    bool completion;
};

/* At the same time the operation that began first comes first: a process' completion stands before its next
 * invocation. */
static int by_time(const void *pa, const void *pb)
{
    const struct mark *a = pa, *b = pb;
    int c = (a->us > b->us) - (a->us < b->us);
    c = c != 0 ? c : (a->op > b->op) - (a->op < b->op);
    return c != 0 ? c : (int)a->completion - (int)b->completion;
}

int hist_write_stream(const struct hist *h, FILE *f, struct error *err)
{
    CLEANUP_FREE struct mark *marks = xcalloc(2 * h->count + 1, sizeof *marks);
    CLEANUP_BUF struct buf line = BUF_INIT;
    size_t count = 0;
    for (size_t i = 0; i < h->count; i++) {
        const struct hist_op *op = &h->ops[i];
        if (op->f < HIST_RESUME) {
            marks[count++] = (struct mark){op->start_us, i, false};
        }
        /* An unknown outcome is told at once: behind it the process may go on. */
        marks[count++] = (struct mark){op->end_us == HIST_NEVER ? op->start_us : op->end_us, i, true};
    }
    qsort(marks, count, sizeof *marks, by_time);
    put_notes(&line, h);
    for (size_t i = 0; i < count; i++) {
        put_line(&line, &h->ops[marks[i].op], marks[i].completion);
        if (line.size > 65536 || i + 1 == count) {
            fwrite(line.data, 1, line.size, f);
            buf_reset(&line);
        }
    }
    if (fflush(f) != 0 || ferror(f)) {
        return error_set_errno(err, errno, "write a history");
    }
    return 0;
}

int hist_write_file(const struct hist *h, const char *path, struct error *err)
{
    CLEANUP_FREE char *part = xasprintf("%s.part", path);
    FILE *f = fopen(part, "we");
    if (f == NULL) {
        return error_set_errno(err, errno, "create history %s", part);
    }
    int rc = hist_write_stream(h, f, err);
    if (fclose(f) != 0 && rc == 0) {
        rc = error_set_errno(err, errno, "write history %s", part);
    }
    if (rc == 0 && rename(part, path) != 0) {
        rc = error_set_errno(err, errno, "rename %s to %s", part, path);
    }
    if (rc != 0) {
        unlink(part);
    }
    return rc;
}
