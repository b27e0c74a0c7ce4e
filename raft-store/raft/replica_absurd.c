/* What no master can have said that keeps to Raft's rules: of a program that is damaged, of another version, or lying.
 * Who it comes from is authenticated, and still must not end us: libraft believes what it gets, and its own assertions
 * are off.
 *
 * Only what cannot be, whatever was lost, doubled or late on its way, is refused here; what is merely out of date is
 * raft/replica_io.c's. */
#include <string.h>

#include "raft-store/raft/replica_int.h"
#include "raft-store/store/entry.h"

/* No cluster lives that long: at a thousand elections, or entries, a microsecond it would take a century. */
#define NUMBER_MAX (UINT64_C(1) << 61)
/* A term goes on by one with each election: so many were never missed. */
#define TERMS_MISSED_MAX (UINT64_C(1) << 32)

static bool number_is_sound(uint64_t v)
{
    return v <= NUMBER_MAX;
}

static bool term_is_sound(const struct replica *n, uint64_t term)
{
    return number_is_sound(term) && term <= raft_current_term((struct raft *)&n->raft) + TERMS_MISSED_MAX;
}

/* Somebody can be elected by it. */
static bool has_voters(const struct raft_configuration *c)
{
    unsigned voters = 0;
    for (unsigned i = 0; i < c->n; i++) {
        voters += c->servers[i].role == RAFT_VOTER;
    }
    return voters > 0;
}

static const char *absurd_entry(const struct raft_entry *e)
{
    struct raft_configuration c;
    bool sound;
    switch (e->type) {
    case RAFT_COMMAND:
        return entry_is_sound(e->buf.base, e->buf.len) ? NULL : "an entry whose checksum does not fit";
    case RAFT_CHANGE:
        raft_configuration_init(&c);
        sound = raft_configuration_decode(&e->buf, &c) == 0 && has_voters(&c);
        raft_configuration_close(&c);
        return sound ? NULL : "a configuration without voters";
    default:
        return NULL;
    }
}

/* Two leaders of one term there are not. */
static bool leads_in(const struct replica *n, uint64_t term)
{
    return raft_state((struct raft *)&n->raft) == RAFT_LEADER && term == raft_current_term((struct raft *)&n->raft);
}

static const char *absurd_append(const struct replica *n, const struct raft_append_entries *a)
{
    uint64_t term = a->prev_log_term;
    if (a->term == 0 || !term_is_sound(n, a->term) || !number_is_sound(a->prev_log_index) ||
        !number_is_sound(a->leader_commit) || term > a->term) {
        return "entries with numbers that cannot be";
    }
    if (leads_in(n, a->term)) {
        return "entries of another leader of our term";
    }
    for (unsigned i = 0; i < a->n_entries; i++) {
        const char *why = absurd_entry(&a->entries[i]);
        if (why != NULL) {
            return why;
        }
        if (a->entries[i].term < term || a->entries[i].term > a->term) {
            return "entries whose terms go back, or beyond their leader's";
        }
        term = a->entries[i].term;
    }
    return NULL;
}

static const char *absurd_snapshot(const struct replica *n, const struct raft_install_snapshot *s)
{
    if (s->term == 0 || !term_is_sound(n, s->term) || s->last_index == 0 || !number_is_sound(s->last_index) ||
        s->last_term == 0 || s->last_term > s->term || s->conf_index > s->last_index) {
        return "a snapshot with numbers that cannot be";
    }
    if (leads_in(n, s->term)) {
        return "a snapshot of another leader of our term";
    }
    return has_voters(&s->conf) ? NULL : "a snapshot whose configuration has no voters";
}

const char *replica_absurd(const struct replica *n, const struct raft_message *m)
{
    const struct raft_request_vote *v = &m->request_vote;
    const struct raft_append_entries_result *r = &m->append_entries_result;
    const struct raft_timeout_now *t = &m->timeout_now;
    switch (m->type) {
    case RAFT_APPEND_ENTRIES:
        return absurd_append(n, &m->append_entries);
    case RAFT_INSTALL_SNAPSHOT:
        return absurd_snapshot(n, &m->install_snapshot);
    case RAFT_REQUEST_VOTE:
        return v->candidate_id != m->server_id ? "a request for somebody else's election"
               : v->term == 0 || !term_is_sound(n, v->term) || !number_is_sound(v->last_log_index) ||
                       v->last_log_term > v->term
                   ? "a request for a vote with numbers that cannot be"
                   : NULL;
    case RAFT_REQUEST_VOTE_RESULT:
        return term_is_sound(n, m->request_vote_result.term) ? NULL : "a vote of a term that cannot be";
    case RAFT_APPEND_ENTRIES_RESULT:
        return term_is_sound(n, r->term) && number_is_sound(r->rejected) && number_is_sound(r->last_log_index)
                   ? NULL
                   : "an acknowledgement with numbers that cannot be";
    case RAFT_TIMEOUT_NOW:
        return t->term == 0 || !term_is_sound(n, t->term) || !number_is_sound(t->last_log_index) ||
                       t->last_log_term > t->term
                   ? "leadership given on with numbers that cannot be"
                   : NULL;
    default:
        return "a message of an unknown kind";
    }
}
