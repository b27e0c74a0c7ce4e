/* What the clients of a fault test did and saw, and whether a correct cluster may have answered so. Pure.
 *
 * Two kinds of data: ConfigMaps of unique names, created once ("u-..."), and registers ("reg-N"), each a counter that is moved by one with
 * a conditional update. So all versions of a register are totally ordered by its number, and linearizability of one register is: whoever
 * starts after another ended sees at least as much. Every write carries the name of the attempt that made it. */
#ifndef TESTS_FAULT_HISTORY_H
#define TESTS_FAULT_HISTORY_H

#include "base/buf.h"
#include "base/strmap.h"

#define REGISTERS 4u
#define TAG_SIZE  32

enum deed_type { DEED_CREATE, DEED_INCREMENT, DEED_READ };
/* FAILED: no master could be reached or led, and the client library says that nothing happened. */
enum deed_outcome { DEED_DONE, DEED_UNKNOWN, DEED_REFUSED, DEED_FAILED };
struct deed {
    enum deed_type type;
    enum deed_outcome outcome;
    unsigned reg;
    int64_t number; /* written or read */
    uint64_t revision;
    int64_t start_us, end_us;
    char tag[TAG_SIZE]; /* "u-3-17": name of the created one, or of the increment */
};
struct deeds {
    struct deed *items;
    size_t count, cap;
};
void deeds_add(struct deeds *l, const struct deed *d);
void deeds_join(struct deeds *l, struct deeds *from); /* from is empty then */
void deeds_close(struct deeds *l);

/* One object of one event that a watcher was told, or of the list at the end. */
struct seen {
    uint64_t revision;
    char name[TAG_SIZE]; /* of the object */
    char tag[TAG_SIZE];  /* of the write */
    int64_t number;      /* registers */
    bool listed;         /* told as there, not as happening */
    bool deleted;
};
struct seens {
    struct seen *items;
    size_t count, cap;
    unsigned resumed, relisted; /* watchers: broken streams gone on behind the last revision; lists after Expired */
};
void seens_add(struct seens *l, const struct seen *s);
void seens_close(struct seens *l);

/* Judgements: each appends lines about what is wrong to out and returns how many it found. */
unsigned judge_writes(const struct deeds *deeds, const struct seens *end, struct buf *out);
unsigned judge_registers(const struct deeds *deeds, struct buf *out); /* linearizable, every increment once */
unsigned judge_watcher(const struct seens *told, const struct seens *end, const struct deeds *deeds, struct buf *out);

#endif
