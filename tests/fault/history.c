#include "tests/fault/history.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

#define LINES_MAX 5u /* of one judgement; the rest is counted */

/* ---- Lists ---- */

void deeds_add(struct deeds *l, const struct deed *d)
{
    if (l->count == l->cap) {
        l->cap = l->cap == 0 ? 1024 : 2 * l->cap;
        l->items = xrealloc(l->items, l->cap * sizeof *l->items);
    }
    l->items[l->count++] = *d;
}

void deeds_join(struct deeds *l, struct deeds *from)
{
    for (size_t i = 0; i < from->count; i++) {
        deeds_add(l, &from->items[i]);
    }
    deeds_close(from);
}

void deeds_close(struct deeds *l)
{
    free(l->items);
    *l = (struct deeds){0};
}

void seens_add(struct seens *l, const struct seen *s)
{
    if (l->count == l->cap) {
        l->cap = l->cap == 0 ? 1024 : 2 * l->cap;
        l->items = xrealloc(l->items, l->cap * sizeof *l->items);
    }
    l->items[l->count++] = *s;
}

void seens_close(struct seens *l)
{
    free(l->items);
    *l = (struct seens){0};
}

static void complain(struct buf *out, unsigned *found, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void complain(struct buf *out, unsigned *found, const char *fmt, ...)
{
    char line[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    if ((*found)++ < LINES_MAX) {
        buf_printf(out, "  %s\n", line);
    } else if (*found == LINES_MAX + 1) {
        buf_puts(out, "  and more of the kind\n");
    }
}

static bool is_unique(const char *name)
{
    return name[0] == 'u' && name[1] == '-';
}

/* ---- Writes ---- */

/* Every acknowledged creation is there at its revision; nothing is there that was refused or never asked for. */
unsigned judge_writes(const struct deeds *deeds, const struct seens *end, struct buf *out)
{
    unsigned found = 0;
    struct strmap there;
    strmap_init(&there);
    for (size_t i = 0; i < end->count; i++) {
        if (is_unique(end->items[i].name)) {
            strmap_set(&there, str_of(end->items[i].name), &end->items[i]);
        }
    }
    size_t accounted = 0;
    for (size_t i = 0; i < deeds->count; i++) {
        const struct deed *d = &deeds->items[i];
        if (d->type != DEED_CREATE) {
            continue;
        }
        const struct seen *s = strmap_get(&there, str_of(d->tag));
        accounted += s != NULL;
        if (d->outcome == DEED_DONE && s == NULL) {
            complain(out, &found, "%s was acknowledged at revision %llu and is lost", d->tag,
                     (unsigned long long)d->revision);
        } else if (d->outcome == DEED_DONE && s->revision != d->revision) {
            complain(out, &found, "%s was acknowledged at revision %llu and stands at %llu", d->tag,
                     (unsigned long long)d->revision, (unsigned long long)s->revision);
        } else if (d->outcome == DEED_REFUSED) {
            complain(out, &found, "%s was refused, though its name was new%s", d->tag,
                     s != NULL ? ", and it is there all the same" : "");
        } else if (d->outcome == DEED_FAILED && s != NULL) {
            complain(out, &found, "%s was reported as not done and is there", d->tag);
        }
    }
    if (accounted != there.count) {
        complain(out, &found, "%zu objects are there that nobody made", there.count - accounted);
    }
    strmap_close(&there);
    return found;
}

/* ---- Registers ---- */

static int by_end(const void *pa, const void *pb)
{
    const struct deed *a = *(const struct deed *const *)pa, *b = *(const struct deed *const *)pb;
    return (a->end_us > b->end_us) - (a->end_us < b->end_us);
}

static int by_start(const void *pa, const void *pb)
{
    const struct deed *a = *(const struct deed *const *)pa, *b = *(const struct deed *const *)pb;
    return (a->start_us > b->start_us) - (a->start_us < b->start_us);
}

/* "Whoever starts after another ended sees at least as much", and an increment sees more. */
static void judge_order(const struct deed **deeds, size_t count, unsigned reg, struct buf *out, unsigned *found)
{
    const struct deed **ended = xmalloc((count + 1) * sizeof *ended);
    memcpy(ended, deeds, count * sizeof *ended);
    qsort(deeds, count, sizeof *deeds, by_start);
    qsort(ended, count, sizeof *ended, by_end);
    int64_t least = 0;
    size_t done = 0;
    for (size_t i = 0; i < count; i++) {
        const struct deed *d = deeds[i];
        for (; done < count && ended[done]->end_us < d->start_us; done++) {
            least = MAX(least, ended[done]->outcome == DEED_DONE ? ended[done]->number : 0);
        }
        if (d->outcome != DEED_DONE) {
            continue;
        }
        if (d->number < least + (d->type == DEED_INCREMENT)) {
            complain(out, found, "reg-%u: %s says %lld, but %lld had been answered before it was asked", reg,
                     d->type == DEED_READ ? "a read" : d->tag, (long long)d->number, (long long)least);
        }
    }
    free(ended);
}

/* Each number has at most one acknowledged increment; a read shows nothing that was not asked for yet. */
static void judge_numbers(const struct deed **deeds, size_t count, unsigned reg, struct buf *out, unsigned *found)
{
    int64_t top = 0;
    for (size_t i = 0; i < count; i++) {
        top = MAX(top, deeds[i]->number);
    }
    const struct deed **by = xcalloc((size_t)top + 1, sizeof *by);
    int64_t *asked_us = xmalloc(((size_t)top + 1) * sizeof *asked_us);
    for (int64_t n = 0; n <= top; n++) {
        asked_us[n] = n == 0 ? 0 : INT64_MAX;
    }
    for (size_t i = 0; i < count; i++) {
        const struct deed *d = deeds[i];
        if (d->type != DEED_INCREMENT || d->outcome >= DEED_REFUSED) {
            continue;
        }
        asked_us[d->number] = MIN(asked_us[d->number], d->start_us);
        if (d->outcome == DEED_DONE && by[d->number] != NULL) {
            complain(out, found, "reg-%u: %s and %s both made it %lld", reg, by[d->number]->tag, d->tag,
                     (long long)d->number);
        }
        by[d->number] = d->outcome == DEED_DONE ? d : by[d->number];
    }
    for (size_t i = 0; i < count; i++) {
        if (deeds[i]->type == DEED_READ && deeds[i]->outcome == DEED_DONE &&
            asked_us[deeds[i]->number] > deeds[i]->end_us) {
            complain(out, found, "reg-%u: a read saw %lld before anybody asked for it", reg,
                     (long long)deeds[i]->number);
        }
    }
    free(by);
    free(asked_us);
}

unsigned judge_registers(const struct deeds *deeds, struct buf *out)
{
    unsigned found = 0;
    const struct deed **of = xmalloc((deeds->count + 1) * sizeof *of);
    for (unsigned reg = 0; reg < REGISTERS; reg++) {
        size_t count = 0;
        for (size_t i = 0; i < deeds->count; i++) {
            if (deeds->items[i].type != DEED_CREATE && deeds->items[i].reg == reg) {
                of[count++] = &deeds->items[i];
            }
        }
        judge_order(of, count, reg, out, &found);
        judge_numbers(of, count, reg, out, &found);
    }
    free(of);
    return found;
}

/* ---- Watchers ---- */

struct told_state {
    struct strmap last;         /* name -> the last that was told of it */
    int64_t numbers[REGISTERS]; /* -1 = nothing yet */
    struct strmap tags;         /* of increments told */
};

static void judge_told(struct told_state *t, const struct seens *told, size_t i, struct buf *out, unsigned *found)
{
    const struct seen *s = &told->items[i];
    const struct seen *before = strmap_set(&t->last, str_of(s->name), (void *)(uintptr_t)s);
    if (i > 0 && !s->listed && !told->items[i - 1].listed && s->revision < told->items[i - 1].revision) {
        complain(out, found, "revision %llu was told behind %llu", (unsigned long long)s->revision,
                 (unsigned long long)told->items[i - 1].revision);
    }
    if (s->deleted) {
        complain(out, found, "%s was told as deleted", s->name);
    }
    if (before != NULL && !s->listed && s->revision <= before->revision) {
        complain(out, found, "%s was told at revision %llu behind its revision %llu", s->name,
                 (unsigned long long)s->revision, (unsigned long long)before->revision);
    } else if (before != NULL && is_unique(s->name) && !s->listed) {
        complain(out, found, "%s was told twice", s->name);
    }
    unsigned reg;
    if (sscanf(s->name, "reg-%u", &reg) != 1 || reg >= REGISTERS) {
        return;
    }
    if (!s->listed && t->numbers[reg] >= 0 && s->number != t->numbers[reg] + 1) {
        complain(out, found, "%s was told as %lld behind %lld: a gap", s->name, (long long)s->number,
                 (long long)t->numbers[reg]);
    }
    t->numbers[reg] = s->number;
    strmap_set(&t->tags, str_of(s->tag), (void *)(uintptr_t)s);
}

/* In order, once each, nothing left out: what was told is what is there at the end, and every acknowledged increment. */
unsigned judge_watcher(const struct seens *told, const struct seens *end, const struct deeds *deeds, struct buf *out)
{
    unsigned found = 0;
    struct told_state t;
    strmap_init(&t.last);
    strmap_init(&t.tags);
    for (unsigned i = 0; i < REGISTERS; i++) {
        t.numbers[i] = -1;
    }
    for (size_t i = 0; i < told->count; i++) {
        judge_told(&t, told, i, out, &found);
    }
    for (size_t i = 0; i < end->count; i++) {
        const struct seen *s = strmap_get(&t.last, str_of(end->items[i].name));
        if (s == NULL || s->revision != end->items[i].revision) {
            complain(out, &found, "%s at revision %llu was never told", end->items[i].name,
                     (unsigned long long)end->items[i].revision);
        }
    }
    if (t.last.count > end->count) {
        complain(out, &found, "%zu objects were told that are not there", t.last.count - end->count);
    }
    for (size_t i = 0; i < deeds->count && told->relisted == 0; i++) {
        const struct deed *d = &deeds->items[i];
        const struct seen *s = d->type == DEED_INCREMENT ? strmap_get(&t.tags, str_of(d->tag)) : NULL;
        if (d->type == DEED_INCREMENT && d->outcome == DEED_DONE &&
            (s == NULL || s->revision != d->revision || s->number != d->number)) {
            complain(out, &found, "%s of reg-%u to %lld was acknowledged at revision %llu and %s", d->tag, d->reg,
                     (long long)d->number, (unsigned long long)d->revision,
                     s == NULL ? "never told" : "told otherwise");
        } else if (d->type == DEED_INCREMENT && d->outcome >= DEED_REFUSED && s != NULL) {
            complain(out, &found, "%s was refused, but told at revision %llu", d->tag, (unsigned long long)s->revision);
        }
    }
    strmap_close(&t.last);
    strmap_close(&t.tags);
    return found;
}
