/* Histories: what concurrent clients asked, what they were answered and when. Written by the fault tests and the
 * simulator, judged by the checkers of this folder (check.h) and, after a trivial conversion, by others' (Jepsen's
 * Knossos and Elle, porcupine).
 *
 * Recording, from C (times are microseconds of one clock, monotonic, the same for all processes of a history):
 *
 *     struct hist h;
 *     hist_init(&h);
 *     size_t op = hist_cas(&h, process, "x", 3, 5, now_us());     // before the request leaves
 *     ... the request ...
 *     hist_complete(&h, op, HIST_OK, now_us());                   // after its answer came
 *
 *     op = hist_read(&h, process, "x", now_us());
 *     hist_result(&h, op, 0, value);                              // what step 0 was answered; hist_result_none: it is
 *     not there hist_complete(&h, op, HIST_OK, now_us());
 *
 *     op = hist_invoke(&h, process, HIST_TXN, now_us());          // several steps in one transaction
 *     hist_step_append(&h, op, "x", 7);
 *     hist_step_read(&h, op, "y");
 *     hist_result_list(&h, op, 1, values, count);
 *     hist_complete(&h, op, HIST_OK, now_us());
 *
 * A history belongs to one thread; each thread records its own and hist_join merges them. A process does one thing at a
 * time.
 *
 * The three outcomes. HIST_OK: done, and the results are what was answered. HIST_FAIL: certainly not done, never will
 * be (a refused comparison, a request that never left). HIST_INFO: unknown; it may take effect at any time after its
 * start, or never. What is not completed is HIST_INFO. To say FAIL of what may have happened makes checkers report what
 * is not there; when in doubt, INFO. A cas that the store compared and refused is FAIL and may be marked by
 * hist_set_refused: the refusal is judged then as a read of "not what was expected".
 *
 * ---- As a file: JSON, one object a line ----
 *
 *     {"process":3,"type":"invoke","f":"cas","value":["x",[3,5]],"time":1200000}
 *     {"process":3,"type":"ok","f":"cas","value":["x",[3,5]],"time":1500000,"revision":17}
 *
 * time: nanoseconds. type: invoke, then ok, fail or info. The completion belongs to the last invocation of its process;
 * f must agree and the completion's value replaces the invocation's. Lines are ordered by time, but only the order
 * within one process is relied upon: what counts is "time", and a came before b if a's completion is earlier than b's
 * invocation. "revision" (optional): the revision that a write was acknowledged at. "refused":true (optional): see
 * above. "error" (optional): text for people. Other members are ignored, and so are lines of the process "nemesis".
 * Keys are strings, values are 64-bit integers or null ("not there").
 *
 *     f          value at invoke -> value at ok                                   read by
 *     read       ["x",null] -> ["x",5]                                            registers
 *     write      ["x",5]                                                          registers
 *     cas        ["x",[3,5]]          from 3 to 5; from null: create              registers
 *     txn        [["append","x",5],["r","y",null]] -> [..., ["r","y",[1,2]]]      append
 *     append     ["x",5]              short for a txn of one                      append
 *     add        ["s",5]                                                          set
 *     members    ["s",null] -> ["s",[1,2,5]]                                      set
 *     enqueue    ["q",5]              an id that is unique in this history        queue
 *     drain      ["q",null] -> ["q",[5,6]]   all of it, at the end                queue
 *     transfer   {"from":"a","to":"b","amount":5}                                 bank
 *     balances   null -> {"a":95,"b":105}                                         bank
 *     remove     ["x"]                what x names is gone                           watch
 *     resume     7                    a watcher goes on behind revision 7         watch
 *     list       {"revision":7,"objects":[["x",5]]}   a watcher starts over       watch
 *     event      {"revision":8,"changes":[["put","x",6],["delete","y"]]}          watch: one transaction that a watcher
 *                was told
 *     log        the same                             watch: the transaction as it stands in the log of the master
 *                `process`
 *
 * resume, list, event and log have no invocation: one line of type ok each, in the order in which they were told. A
 * master whose log begins anew behind a snapshot says resume, too.
 *
 * Settings of a history stand in lines of type "note":
 *
 *     {"type":"note","f":"registers","value":{"initial":0}}                without it a register is not there at first:
 *     null
 *     {"type":"note","f":"bank","value":{"total":400,"overdraft":true}}    without it the first balances read counts,
 *     and below 0 is wrong
 *     {"type":"note","f":"watch","value":{"complete":true}}                every watcher was waited for until it had
 *     been told everything
 */
#ifndef TESTS_CHECK_HISTORY_H
#define TESTS_CHECK_HISTORY_H

#include <stdbool.h>
#include <stdio.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/strmap.h"

#define HIST_NEVER    INT64_MAX   /* the end of what has unknown outcome */
#define HIST_LINE_MAX (4u << 20)  /* bytes of one line of a file */
#define HIST_OPS_MAX  (16u << 20) /* operations of one history */

enum hist_f {
    HIST_READ,
    HIST_WRITE,
    HIST_CAS,
    HIST_TXN,
    HIST_ADD,
    HIST_MEMBERS,
    HIST_ENQUEUE,
    HIST_DRAIN,
    HIST_TRANSFER,
    HIST_BALANCES,
    HIST_REMOVE,
    HIST_RESUME,
    HIST_LIST,
    HIST_EVENT,
    HIST_LOG,
    HIST_FS,
};
enum hist_outcome { HIST_INFO, HIST_OK, HIST_FAIL };
enum hist_verb {
    STEP_READ,   /* a value, or a list in transactions, of members and at a drain; of an account */
    STEP_WRITE,  /* value */
    STEP_CAS,    /* from expected to value */
    STEP_APPEND, /* value: to a list, a set, a queue */
    STEP_MOVE,   /* value = what the account gains; below 0: loses */
    STEP_PUT,    /* watch: key is value now */
    STEP_DELETE, /* watch, and of a removal: key is gone */
};

/* A number that may be missing: "not there". */
struct hist_value {
    bool there;
    int64_t number;
};
struct hist_step {
    enum hist_verb verb;
    bool answered;   /* STEP_READ: its result is known */
    bool is_list;    /* STEP_READ: the result is list[0 .. list_count - 1] */
    const char *key; /* one pointer per name in a history: may be compared as such */
    struct hist_value value, expected;
    int64_t *list;
    unsigned list_count;
};
struct hist_op {
    size_t number; /* its place in the history, from 0 */
    int64_t process;
    enum hist_f f;
    enum hist_outcome outcome;
    int64_t start_us, end_us; /* end_us: HIST_NEVER for HIST_INFO */
    bool refused;             /* HIST_FAIL of a cas: because the value was another */
    uint64_t revision;        /* acknowledged at; told at (watch); 0 = none */
    const char *error;        /* NULL = none */
    struct hist_step *steps;
    unsigned steps_count, steps_cap;
};
struct hist {
    struct arena arena; /* keys, steps, lists, errors */
    struct strmap keys;
    struct hist_op *ops; /* ordered by start once read, joined or sorted */
    size_t count, cap;
    struct hist_value initial; /* of registers */
    struct hist_value total;   /* of the bank */
    bool overdraft;            /* accounts may fall below 0 */
    bool watch_complete;       /* every watcher was waited for until it had been told everything */
};

void hist_init(struct hist *h);
void hist_close(struct hist *h);

/* ---- Recording ---- */

/* An operation begins; returns its number, good until hist_sort or hist_join. */
size_t hist_invoke(struct hist *h, int64_t process, enum hist_f f, int64_t start_us);
/* Its steps, in order: parts of a transaction, or what the table above has as value. */
void hist_step_read(struct hist *h, size_t op, const char *key);
void hist_step_write(struct hist *h, size_t op, const char *key, int64_t value);
void hist_step_cas(struct hist *h, size_t op, const char *key, struct hist_value expected, int64_t value);
void hist_step_append(struct hist *h, size_t op, const char *key, int64_t value);
void hist_step_move(struct hist *h, size_t op, const char *key, int64_t gain);
void hist_step_put(struct hist *h, size_t op, const char *key, struct hist_value value);
void hist_step_delete(struct hist *h, size_t op, const char *key);
/* What a step (a read, from 0) was answered. The list is copied. */
void hist_result(struct hist *h, size_t op, unsigned step, int64_t value);
void hist_result_none(struct hist *h, size_t op, unsigned step);
void hist_result_list(struct hist *h, size_t op, unsigned step, const int64_t *values, unsigned count);
/* For HIST_BALANCES: a step with its result. */
void hist_result_account(struct hist *h, size_t op, const char *key, int64_t balance);
void hist_set_revision(struct hist *h, size_t op, uint64_t revision);
void hist_set_refused(struct hist *h, size_t op);
void hist_set_error(struct hist *h, size_t op, const char *text); /* copied */
/* The answer came. Results of reads must have been given before if it is HIST_OK. end_us is ignored for HIST_INFO. */
void hist_complete(struct hist *h, size_t op, enum hist_outcome outcome, int64_t end_us);

/* Operations of one step, begun in one go. */
size_t hist_read(struct hist *h, int64_t process, const char *key, int64_t start_us);
size_t hist_write(struct hist *h, int64_t process, const char *key, int64_t value, int64_t start_us);
size_t hist_cas(struct hist *h, int64_t process, const char *key, int64_t expected, int64_t value, int64_t start_us);
size_t hist_create(struct hist *h, int64_t process, const char *key, int64_t value,
                   int64_t start_us); /* cas from null */
size_t hist_remove(struct hist *h, int64_t process, const char *key, int64_t start_us);
size_t hist_add(struct hist *h, int64_t process, const char *set, int64_t value, int64_t start_us);
size_t hist_members(struct hist *h, int64_t process, const char *set, int64_t start_us);
size_t hist_enqueue(struct hist *h, int64_t process, const char *queue, int64_t id, int64_t start_us);
size_t hist_drain(struct hist *h, int64_t process, const char *queue, int64_t start_us);
size_t hist_transfer(struct hist *h, int64_t process, const char *from, const char *to, int64_t amount,
                     int64_t start_us);
/* Watchers and logs: complete at once; steps (put, delete) follow. */
size_t hist_told(struct hist *h, int64_t process, enum hist_f f, uint64_t revision, int64_t now_us);

/* Moves all of `from` behind what h has, sorted by start then; `from` is empty afterwards. Settings of h stay, those
 * it lacks come over. */
void hist_join(struct hist *h, struct hist *from);
/* By start; operations of one process keep their order. Numbers change. */
void hist_sort(struct hist *h);

/* ---- Files ---- */

/* Appends a file's operations to h, sorted then. ERR_INVALID names file, line and what was expected there. */
int hist_read_file(struct hist *h, const char *path, struct error *err);
int hist_read_stream(struct hist *h, FILE *f, const char *name, struct error *err);
/* Written beside path and renamed: whole or not at all. */
int hist_write_file(const struct hist *h, const char *path, struct error *err);
int hist_write_stream(const struct hist *h, FILE *f, struct error *err);

/* ---- For people ---- */

const char *hist_f_name(enum hist_f f);
/* "op 17 (process 3): cas x 3 -> 5, ok, 1.200 s to 1.500 s"; long lists are cut. */
struct buf;
void hist_describe(const struct hist_op *op, struct buf *out);

#endif
