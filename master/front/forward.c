#include "master/front/forward.h"

#include <assert.h>
#include <stdio.h>

#include "master/front/ask.h"
#include "master/front/audit.h"
#include "master/members/members.h"

void errand_not_leader(struct errand *e)
{
    struct master *m = e->api.m;
    struct error err = {0};
    const char *address;
    uint64_t leader = replica_leader(m->replica, &address);
    if (leader == 0 || leader == m->config.id) {
        error_set(&err, ERR_NOT_LEADER, "this master does not lead and knows no leader yet; try again");
    } else {
        struct str agent_address = members_address(m, leader, true);
        error_set(&err, ERR_NOT_LEADER, "this master does not lead; the leader is %s", address);
        snprintf(err.field, sizeof err.field, "%.*s", STR_ARG(agent_address));
    }
    err.retry_after_ms = 200;
    errand_fail(e, &err);
}

static void answered(const struct rpc_result *result, void *data)
{
    struct errand *e = data;
    assert(e->subject->forwarding > 0);
    e->subject->forwarding--;
    if (result->error == NULL) {
        audit_take_notes(e, mp_get(result->result, "notes"));
        e->front->answered(e, result->result);
        return;
    }
    struct error err = *result->error;
    if (result->sent && (err.code == ERR_CLOSED || err.code == ERR_TIMEOUT)) {
        error_set(&err, ERR_UNKNOWN_OUTCOME,
                  "the leader went away while it held the request: it may or may not have been done; "
                  "look, or repeat it with the same id");
    } else if (err.code == ERR_CLOSED || err.code == ERR_TIMEOUT) {
        error_set(&err, ERR_NO_QUORUM, "no connection to the leader; nothing was done; try again");
    }
    errand_fail(e, &err);
}

/* The leader, if another master is known to lead; 0: the errand has been failed. */
static uint64_t leader_for(struct errand *e)
{
    struct master *m = e->api.m;
    const char *address;
    uint64_t leader = replica_leader(m->replica, &address);
    if (e->forwarded) {
        errand_not_leader(e); /* forwarded once already: no ping-pong between masters that disagree */
        return 0;
    }
    if (leader == 0 || leader == m->config.id) {
        struct error err = {0};
        error_set(&err, ERR_NO_QUORUM,
                  "no leader is known: the masters that can be reached are no majority, or are just electing one; "
                  "nothing was done; try again");
        err.retry_after_ms = 300;
        errand_fail(e, &err);
        return 0;
    }
    return leader;
}

/* Is there room for it at the leader? False: it has been failed. */
static bool has_room(struct errand *e)
{
    struct master *m = e->api.m;
    if (e->subject == NULL) {
        const struct pki_identity *who = &principal_asker(e->who)->identity;
        e->subject = subject_get(m->turns, who, NULL);
    }
    if (e->subject->forwarding < MASTER_FORWARDING_MAX) {
        return true;
    }
    struct error err = {0};
    error_set(&err, ERR_BUSY,
              "%.*s: %u requests of %s are at the leader already, which is the most that one may have there over "
              "this master; nothing was done; send again when some are answered",
              STR_ARG(e->name), e->subject->forwarding, e->subject->name);
    err.retry_after_ms = 200;
    m->stats.over_rate++;
    errand_fail(e, &err);
    return false;
}

void errand_forward(struct errand *e)
{
    uint64_t leader = leader_for(e);
    if (leader == 0 || !has_room(e)) {
        return;
    }
    CLEANUP_BUF struct buf b = BUF_INIT;
    mp_write_map(&b, 3);
    if (!e->front->write(e, &b)) {
        return;
    }
    mp_write_cstr(&b, "identity");
    principal_write(&b, e->who);
    e->api.m->stats.forwarded++;
    if (e->flags & METHOD_STREAM) {
        e->front->relay(e, leader, buf_str(&b));
        return;
    }
    e->subject->forwarding++;
    errand_ask_leader(e, leader, "forward", buf_str(&b),
                      e->timed ? errand_left_ms(e, MASTER_FORWARD_TIMEOUT_MS) : MASTER_FORWARD_TIMEOUT_MS, answered);
}
