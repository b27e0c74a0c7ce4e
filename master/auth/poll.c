#include "master/auth/poll.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "master/members/members.h"

#define ASK_MS 3000

void poll_restart(struct poll *p)
{
    p->epoch++;
    memset(p->rows, 0, sizeof p->rows);
    poll_wait_for_nobody(p);
}

struct asking {
    struct master *m;
    struct poll *p;
    unsigned epoch, row;
};

static void told(const struct rpc_result *result, void *data)
{
    struct asking *a = data;
    struct poll_row *row = &a->p->rows[a->row];
    if (a->epoch == a->p->epoch) {
        row->asked = false;
        if (result->error != NULL) {
            row->unable = result->error->code == ERR_UNSUPPORTED;
        } else {
            row->unable = false;
            row->at_ms = env_now_ms(a->m->env);
            a->p->answered(a->m, a->row, result->result);
        }
    }
    free(a);
}

static unsigned row_of(struct poll *p, uint64_t id)
{
    unsigned room = POLL_MEMBERS_MAX;
    for (unsigned i = 0; i < POLL_MEMBERS_MAX; i++) {
        if (p->rows[i].id == id) {
            return i;
        }
        room = room == POLL_MEMBERS_MAX && p->rows[i].id == 0 ? i : room;
    }
    if (room < POLL_MEMBERS_MAX) {
        p->rows[room] = (struct poll_row){.id = id};
    }
    return room;
}

unsigned poll_ask(struct master *m, struct poll *p, uint64_t id)
{
    unsigned row = row_of(p, id);
    if (row < POLL_MEMBERS_MAX && !p->rows[row].asked) {
        struct asking *a = xmalloc(sizeof *a);
        *a = (struct asking){m, p, p->epoch, row};
        p->rows[row].asked = true;
        transport_call(m->transport, id, p->method, STR("\x80"), ASK_MS, told, a);
    }
    return row;
}

enum poll_heard poll_heard(struct master *m, struct poll *p, unsigned row, const struct replica_member *member,
                           bool finish, const char *what)
{
    const struct poll_row *r = &p->rows[row];
    bool silent = r->at_ms == 0 || env_now_ms(m->env) - r->at_ms > POLL_OLD_MS;
    if (r->unable) {
        poll_wait_for(p, "master %" PRIu64 " is of a version that cannot %s: upgrade it", member->id, what);
        return POLL_MISSED;
    }
    if (!silent) {
        return POLL_ANSWERS;
    }
    if (finish && !members_up(m, member->id)) {
        return POLL_PASSED;
    }
    poll_wait_for(p, "master %" PRIu64 " at %s does not answer", member->id, member->address);
    return POLL_MISSED;
}

void poll_wait_for(struct poll *p, const char *fmt, ...)
{
    char text[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (p->waiting_count++ < POLL_WAITING_MAX) {
        p->waiting[p->waiting_count - 1] = xstrdup(text);
    }
}

void poll_wait_for_nobody(struct poll *p)
{
    for (unsigned i = 0; i < POLL_WAITING_MAX; i++) {
        free(TAKE_PTR(p->waiting[i]));
    }
    p->waiting_count = 0;
}

void poll_write_waiting(const struct poll *p, struct buf *b)
{
    unsigned named = MIN(p->waiting_count, POLL_WAITING_MAX);
    mp_write_cstr(b, "waiting");
    mp_write_array(b, named);
    for (unsigned i = 0; i < named; i++) {
        mp_write_cstr(b, p->waiting[i]);
    }
    mp_write_key_int(b, "waitingMore", p->waiting_count - named);
}
