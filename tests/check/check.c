#include "tests/check/check.h"

#include <assert.h>
#include <stdlib.h>

const struct checker checkers[] = {
    {"register", check_register}, {"append", check_append}, {"set", check_set}, {"bank", check_bank},
    {"queue", check_queue},       {"watch", check_watch},   {NULL, NULL},
};

void findings_init(struct findings *f)
{
    *f = (struct findings){0};
}

void findings_close(struct findings *f)
{
    for (unsigned i = 0; i < f->count; i++) {
        free(f->items[i].text);
    }
    free(f->gave_up);
    findings_init(f);
}

enum verdict findings_verdict(const struct findings *f)
{
    return f->total > 0 ? VERDICT_INVALID : f->gave_up != NULL ? VERDICT_UNKNOWN : VERDICT_VALID;
}

static char *vprint(const char *fmt, va_list ap)
{
    char *text = NULL;
    if (vasprintf(&text, fmt, ap) < 0) {
        abort();
    }
    return text;
}

struct anomaly *findings_add(struct findings *f, const char *name, const char *fmt, ...)
{
    f->total++;
    if (f->count == ANOMALIES_MAX) {
        return NULL;
    }
    va_list ap;
    va_start(ap, fmt);
    struct anomaly *a = &f->items[f->count++];
    *a = (struct anomaly){.name = name, .text = vprint(fmt, ap)};
    va_end(ap);
    return a;
}

void anomaly_op(struct anomaly *a, const struct hist_op *op)
{
    if (a != NULL && a->ops_count < ANOMALY_OPS_MAX) {
        a->ops[a->ops_count++] = op->number;
    }
}

bool findings_have(const struct findings *f, const char *name)
{
    for (unsigned i = 0; i < f->count; i++) {
        if (strcmp(f->items[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

void findings_give_up(struct findings *f, const char *fmt, ...)
{
    if (f->gave_up != NULL) {
        return;
    }
    va_list ap;
    va_start(ap, fmt);
    f->gave_up = vprint(fmt, ap);
    va_end(ap);
}

void findings_print(const struct findings *f, const struct hist *h, struct buf *out)
{
    for (unsigned i = 0; i < f->count; i++) {
        const struct anomaly *a = &f->items[i];
        buf_printf(out, "  %s: %s\n", a->name, a->text);
        for (unsigned k = 0; k < a->ops_count; k++) {
            assert(a->ops[k] < h->count);
            buf_puts(out, "      ");
            hist_describe(&h->ops[a->ops[k]], out);
            buf_puts(out, "\n");
        }
    }
    if (f->total > f->count) {
        buf_printf(out, "  and %u more\n", f->total - f->count);
    }
    if (f->gave_up != NULL) {
        buf_printf(out, "  gave up: %s\n", f->gave_up);
    }
}

enum verdict check_all(const struct hist *h, const struct check_options *o, struct buf *out)
{
    static const char *const words[] = {"ok", "UNKNOWN", "NOT OK"};
    enum verdict worst = VERDICT_VALID;
    for (const struct checker *c = checkers; c->name != NULL; c++) {
        struct findings f;
        findings_init(&f);
        c->run(h, o, &f);
        enum verdict v = findings_verdict(&f);
        assert(f.checked > 0 || v == VERDICT_VALID);
        if (f.checked > 0) {
            buf_printf(out, "%-8s %7u operations  %s\n", c->name, f.checked, words[v]);
            findings_print(&f, h, out);
        }
        worst = MAX(worst, v);
        findings_close(&f);
    }
    return worst;
}
