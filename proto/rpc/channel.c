#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/le.h"
#include "base/mem.h"
#include "proto/rpc/channel.h"
#include "proto/rpc/rpc.h"

#define HEAD 4u /* of a kept payload: its length */

enum kind { NOTHING = -1, ACK, END, GREETING, DATA };

void channel_init(struct channel *c, bool node)
{
    *c = (struct channel){.known = node, .greet = node, .next_kind = NOTHING};
}

void channel_close(struct channel *c)
{
    buf_close(&c->out.kept);
    buf_close(&c->own);
    free(c->out.why);
    c->out.why = NULL;
}

/* ---- Out ---- */

static uint32_t length_at(const struct channel *c, size_t at)
{
    assert(at + HEAD <= c->out.kept.size);
    return le_load_u32(c->out.kept.data + at);
}

/* Whole payloads that end at or before `upto`, and have been sent, are not needed any more. */
static void drop(struct channel *c, uint64_t upto)
{
    size_t at = 0;
    while (at < c->out.next_at && c->out.from + length_at(c, at) <= upto) {
        c->out.from += length_at(c, at);
        at += HEAD + length_at(c, at);
    }
    buf_consume(&c->out.kept, at);
    c->out.next_at -= at;
    if (c->out.kept.size == 0) {
        buf_close(&c->out.kept); /* an idle channel holds nothing */
    }
}

static bool has_room(const struct channel *c)
{
    return c->out.end - (c->plain ? c->out.next : c->out.acked) < CHANNEL_WINDOW;
}

int channel_write(struct channel *c, struct str payload)
{
    assert(payload.n > 0);
    if (c->out.over) {
        return ERR_CLOSED;
    }
    if (payload.n > RPC_MESSAGE_MAX / 2) {
        return ERR_TOO_LARGE;
    }
    if (!has_room(c)) {
        c->out.refused = true;
        return ERR_BUSY;
    }
    buf_put_u32(&c->out.kept, (uint32_t)payload.n);
    buf_append_str(&c->out.kept, payload);
    c->out.end += payload.n;
    return 0;
}

void channel_end(struct channel *c, const struct error *why)
{
    assert(!c->out.over);
    c->out.over = true;
    c->out.refused = false;
    c->out.why = why == NULL ? NULL : xmemdup(why, sizeof *why);
}

bool channel_room(struct channel *c)
{
    if (!c->out.refused || !has_room(c)) {
        return false;
    }
    c->out.refused = false;
    return true;
}

static void own_payload(struct channel *c, enum kind kind, uint64_t n)
{
    buf_reset(&c->own);
    mp_write_array(&c->own, 2);
    mp_write_uint(&c->own, kind);
    if (kind == END) {
        rpc_write_error(&c->own, c->out.why);
    } else {
        mp_write_uint(&c->own, n);
    }
    c->next_kind = kind;
}

bool channel_next(struct channel *c, struct str *payload)
{
    c->next_kind = NOTHING;
    if (c->greet) {
        own_payload(c, GREETING, c->in.received);
    } else if (c->known && c->in.consumed - c->in.told >= CHANNEL_ACK_STEP) {
        own_payload(c, ACK, c->in.consumed);
    } else if (!c->waiting && c->out.next_at < c->out.kept.size) {
        c->next_kind = DATA;
        *payload = (struct str){(const char *)c->out.kept.data + c->out.next_at + HEAD, length_at(c, c->out.next_at)};
        return true;
    } else if (!c->waiting && c->known && c->out.over && !c->out.over_sent) {
        own_payload(c, END, 0);
    }
    *payload = buf_str(&c->own);
    return c->next_kind != NOTHING;
}

void channel_took(struct channel *c)
{
    uint32_t n;
    switch ((enum kind)c->next_kind) {
    case GREETING:
        c->greet = false;
        break;
    case ACK:
        c->in.told = c->in.consumed;
        break;
    case END:
        c->out.over_sent = true;
        break;
    case DATA:
        n = length_at(c, c->out.next_at);
        c->out.next_at += HEAD + n;
        c->out.next += n;
        c->out.sent = MAX(c->out.sent, c->out.next);
        if (c->plain) {
            drop(c, c->out.next);
        }
        break;
    case NOTHING:
        assert(!"something was taken that was not given");
    }
    c->next_kind = NOTHING;
}

/* ---- In ---- */

static enum channel_got bad(struct error *err, const char *what, uint64_t n)
{
    error_set(err, ERR_PROTOCOL, "a resumable stream: the peer %s (%" PRIu64 ")", what, n);
    return CHANNEL_BAD;
}

/* What the peer has is given up, what it lacks goes out again from `received`. */
static int go_back(struct channel *c, uint64_t received, struct error *err)
{
    size_t at = 0;
    uint64_t position = c->out.from;
    while (position < received && at < c->out.kept.size) {
        position += length_at(c, at);
        at += HEAD + length_at(c, at);
    }
    if (received != position || received > c->out.sent || received < c->out.acked) {
        return error_set_field(err, ERR_USAGE, "resume.received",
                               "the stream cannot go on behind byte %" PRIu64 ": %" PRIu64
                               " were sent, and those from %" PRIu64 " on are kept",
                               received, c->out.sent, c->out.from);
    }
    c->out.next_at = at;
    c->out.next = received;
    drop(c, received);
    return 0;
}

static enum channel_got greeted(struct channel *c, uint64_t n, struct error *err)
{
    if (c->known && !c->waiting) {
        return bad(err, "greets a second time", n);
    }
    if (!c->waiting) { /* the first stream: nothing was sent before it */
        c->known = true;
        return n == 0 ? CHANNEL_OWN : bad(err, "has received what was not sent", n);
    }
    if (go_back(c, n, err) != 0) {
        err->code = ERR_PROTOCOL;
        return CHANNEL_BAD;
    }
    c->known = true;
    c->waiting = false;
    return CHANNEL_OWN;
}

static enum channel_got own_in(struct channel *c, struct mp payload, struct error *err)
{
    uint32_t count;
    uint64_t kind, n = 0;
    if (!mp_read_array(&payload, &count) || count != 2 || !mp_read_uint(&payload, &kind)) {
        return bad(err, "sends an array that says nothing", 0);
    }
    if (kind == END) {
        if (c->in.over) {
            return CHANNEL_OWN; /* it is said on each stream */
        }
        c->in.over = true;
        *err = (struct error){0};
        if (mp_type(payload) != MP_NIL) {
            rpc_read_error(payload, err);
        }
        return CHANNEL_ENDED;
    }
    if (!mp_read_uint(&payload, &n) || (kind != ACK && kind != GREETING)) {
        return bad(err, "sends an array that says nothing", kind);
    }
    if (kind == GREETING) {
        return greeted(c, n, err);
    }
    if (n > c->out.sent) {
        return bad(err, "acknowledges what was not sent", n);
    }
    c->out.acked = MAX(c->out.acked, n); /* one that comes late says nothing new */
    drop(c, c->out.acked);
    return CHANNEL_OWN;
}

enum channel_got channel_in(struct channel *c, struct mp payload, struct error *err)
{
    size_t n = (size_t)(payload.end - payload.p);
    if (mp_type(payload) == MP_ARRAY) {
        return own_in(c, payload, err);
    }
    if (c->in.over) {
        return bad(err, "goes on after its end", n);
    }
    if (c->waiting) {
        return bad(err, "goes on without a greeting", n);
    }
    if (c->in.received - c->in.consumed >= CHANNEL_WINDOW) {
        return bad(err, "sends more than it may", c->in.received - c->in.consumed);
    }
    c->in.received += n;
    return CHANNEL_DATA;
}

void channel_consumed(struct channel *c, size_t n)
{
    c->in.consumed += n;
    assert(c->in.consumed <= c->in.received);
}

/* ---- Streams come and go ---- */

/* All that was said may not have been heard: it is said again. */
void channel_cut(struct channel *c)
{
    c->out.over_sent = false;
    c->in.told = 0;
    c->waiting = true;
    c->greet = false;
    c->next_kind = NOTHING;
}

uint64_t channel_received(const struct channel *c)
{
    return c->in.received;
}

int channel_resume(struct channel *c, uint64_t received, struct error *err)
{
    int rc = go_back(c, received, err);
    if (rc == 0) {
        channel_cut(c);
        c->waiting = false;
        c->greet = true;
    }
    return rc;
}

void channel_set_plain(struct channel *c)
{
    c->plain = true;
    drop(c, c->out.next);
}
