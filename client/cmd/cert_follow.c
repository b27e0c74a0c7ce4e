#include "client/cmd/cert_follow.h"

#include <string.h>

#include "client/cmd/common.h"

#define LOOK_MS 500
#define SAY_MS  10000 /* what is waited for is told so late, and again when it has changed */

const char *cert_text(struct arena *a, struct mp map, const char *key)
{
    struct str s = mp_str(mp_get(map, key));
    return arena_strndup(a, s.n == 0 ? "" : s.p, s.n);
}

static void take(struct cert_follow *f, struct mp answer)
{
    struct arena *a = &f->r->arena;
    struct mp state = mp_get(answer, f->member);
    CLEANUP_BUF struct buf b = BUF_INIT;
    f->under_way = mp_type(state) == MP_MAP;
    f->phase = f->under_way ? cert_text(a, state, "phase") : "";
    for (struct mp_iter it = mp_iter(mp_get(state, "waiting")); mp_next(&it);) {
        struct str s = mp_str(it.value);
        buf_printf(&b, "%s  %.*s", b.size > 0 ? "\n" : "", STR_ARG(s));
    }
    f->waiting = arena_strndup(a, buf_cstr(&b), b.size);
    f->take(f, answer);
}

int cert_follow_look(struct cert_follow *f, struct error *err)
{
    CLEANUP_REPLY struct api_reply reply = {0};
    int rc = api_read(f->r->api, f->look, value_map(&f->r->arena), &reply, err);
    if (rc == 0) {
        take(f, reply.result);
    }
    return rc;
}

int cert_follow_ask(struct cert_follow *f, const char *method, struct value *params, bool *begun, struct error *err)
{
    CLEANUP_REPLY struct api_reply reply = {0};
    int rc = api_read(f->r->api, method, params, &reply, err);
    if (rc == 0) {
        *begun = mp_bool(mp_get(reply.result, "begun"), false);
        take(f, reply.result);
    }
    return rc;
}

static void tell(struct cert_follow *f)
{
    int64_t now = rctl_now_ms();
    if (f->told_phase == NULL || strcmp(f->phase, f->told_phase) != 0) {
        for (unsigned i = 0; i < f->phases_count; i++) {
            if (strcmp(f->phases[i].phase, f->phase) == 0) {
                rctl_note(f->r, "%s: %s", f->phases[i].phase, f->phases[i].words);
            }
        }
        f->told_phase = f->phase;
        f->told_waiting = "";
        f->phase_ms = now;
    } else if (now - f->phase_ms >= SAY_MS && f->waiting[0] != '\0' && strcmp(f->waiting, f->told_waiting) != 0) {
        rctl_note(f->r, "waiting for:\n%s", f->waiting);
        f->told_waiting = f->waiting;
    }
}

int cert_follow_wait(struct cert_follow *f, int64_t patience_ms)
{
    struct rctl *r = f->r;
    struct error err = {0};
    bool never = false;
    int code = -1;
    for (int64_t start = rctl_now_ms(); f->under_way;) {
        tell(f);
        if (f->between != NULL) {
            f->between(f, &code);
        }
        if (code >= 0) {
            return code;
        }
        if (rctl_now_ms() - start >= patience_ms) {
            rctl_note(r,
                      "it goes on without this command; `rctl cert status` shows how far it is, and `%s` waits for "
                      "nobody any more\nwaiting for:\n%s",
                      f->finish, f->waiting);
            return EXIT_FAILED;
        }
        api_run(r->api, &never, LOOK_MS);
        if (cert_follow_look(f, &err) != 0) {
            return rctl_fail(r, &err);
        }
    }
    return EXIT_DONE;
}
