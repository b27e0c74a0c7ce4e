/* rctl cert rotate-ca: another CA for the cluster (master/auth/rotate.h). The masters do it; here it is begun,
 * looked at, and ended. */
#include <string.h>

#include "client/cmd/cert.h"
#include "client/cmd/common.h"
#include "client/cmd/renew.h"
#include "proto/pki/pki.h"

#define LOOK_MS      500
#define SAY_MS       10000 /* what is waited for is told so late, and again when it has changed */
#define WAIT_DEFAULT "10m"

struct rotating {
    struct rctl *r;
    const char *phase, *told_phase, *ca, *next;
    const char *waiting, *told_waiting; /* lines */
    int64_t phase_ms;
    bool under_way, hold_over; /* hold_over: nothing but the hold is waited for */
};

static const char *text(struct arena *a, struct mp map, const char *key)
{
    struct str s = mp_str(mp_get(map, key));
    return arena_strndup(a, s.n == 0 ? "" : s.p, s.n);
}

static void take(struct rotating *o, struct mp answer)
{
    struct arena *a = &o->r->arena;
    struct mp rotation = mp_get(answer, "rotation");
    CLEANUP_BUF struct buf b = BUF_INIT;
    unsigned others = 0, holds = 0;
    o->ca = text(a, answer, "ca");
    o->under_way = mp_type(rotation) == MP_MAP;
    o->next = text(a, rotation, "next");
    o->phase = o->under_way ? text(a, rotation, "phase") : "";
    for (struct mp_iter it = mp_iter(mp_get(rotation, "waiting")); mp_next(&it);) {
        struct str s = mp_str(it.value);
        bool hold = s.n > 4 && memcmp(s.p, "you:", 4) == 0;
        holds += hold;
        others += !hold;
        buf_printf(&b, "%s  %.*s", b.size > 0 ? "\n" : "", STR_ARG(s));
    }
    o->hold_over = holds > 0 && others == 0;
    o->waiting = arena_strndup(a, buf_cstr(&b), b.size);
}

static void tell(struct rotating *o)
{
    static const struct {
        const char *phase, *words;
    } rows[] = {{"trust", "masters begin to trust the new CA"},
                {"sign", "nodes and users get certificates of the new CA"},
                {"switch", "masters get certificates of the new CA"}};
    int64_t now = rctl_now_ms();
    if (strcmp(o->phase, o->told_phase) != 0) {
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
            if (strcmp(rows[i].phase, o->phase) == 0) {
                rctl_note(o->r, "%s: %s", rows[i].phase, rows[i].words);
            }
        }
        o->told_phase = o->phase;
        o->told_waiting = "";
        o->phase_ms = now;
    } else if (now - o->phase_ms >= SAY_MS && o->waiting[0] != '\0' && strcmp(o->waiting, o->told_waiting) != 0) {
        rctl_note(o->r, "waiting for:\n%s", o->waiting);
        o->told_waiting = o->waiting;
    }
}

/* The connection we have is of the old CA, and ends with it. */
static int renew_own(struct rotating *o, struct error *err)
{
    struct rctl *r = o->r;
    int64_t until_s;
    int rc = renew_now(r, &until_s, err);
    if (rc != 0) {
        return rc;
    }
    api_free(TAKE_PTR(r->api));
    r->config_loaded = false;
    return rctl_connect(r, err);
}

static bool is_old(const struct rotating *o)
{
    char issuer[33];
    return o->under_way && strcmp(o->phase, "trust") != 0 &&
           pki_issuer(o->r->target.ca_pem, o->r->target.cert_pem, issuer, NULL) == 0 && strcmp(issuer, o->next) != 0;
}

static int look(struct rotating *o, struct error *err)
{
    CLEANUP_REPLY struct api_reply reply = {0};
    int rc = api_read(o->r->api, "cert.rotation", value_map(&o->r->arena), &reply, err);
    if (rc == 0) {
        take(o, reply.result);
    }
    return rc;
}

static int follow(struct rotating *o, int64_t patience_ms)
{
    struct rctl *r = o->r;
    struct error err = {0};
    bool never = false, warned = false;
    int64_t start = rctl_now_ms();
    while (o->under_way) {
        tell(o);
        if (o->hold_over) {
            rctl_note(r, "all that are known have certificates of the new CA; the others have time until: "
                         "rctl cert rotate-ca --finish");
            return EXIT_DONE;
        }
        if (rctl_now_ms() - start >= patience_ms) {
            rctl_note(r,
                      "it goes on without this command; `rctl cert status` shows how far it is, and "
                      "`rctl cert rotate-ca --finish` waits for nobody any more\nwaiting for:\n%s",
                      o->waiting);
            return EXIT_FAILED;
        }
        api_run(r->api, &never, LOOK_MS);
        struct error own = {0};
        if (!warned && is_old(o) && renew_own(o, &own) != 0) {
            rctl_note(r, "warning: your own certificate is not renewed, and will count no more: %s", own.message);
            warned = true;
            if (r->api == NULL) {
                return rctl_fail(r, &own);
            }
        }
        if (look(o, &err) != 0) {
            return rctl_fail(r, &err);
        }
    }
    return EXIT_DONE;
}

static int ask(struct rotating *o, struct value *params, bool *begun, struct error *err)
{
    CLEANUP_REPLY struct api_reply reply = {0};
    int rc = api_read(o->r->api, "cert.rotate", params, &reply, err);
    if (rc == 0) {
        *begun = mp_bool(mp_get(reply.result, "begun"), false);
        take(o, reply.result);
    }
    return rc;
}

static int run_rotate(struct rctl *r)
{
    struct rotating o = {.r = r, .told_phase = "", .told_waiting = ""};
    struct error err = {0};
    int64_t patience_ms;
    bool begun = false, finish = opt_flag(r, "finish"), hold = opt_flag(r, "hold");
    if (r->args.words_count > 0 || (finish && hold)) {
        return rctl_usage(r, finish && hold ? "--hold and --finish are contrary" : "rotate-ca takes no names");
    }
    if (args_duration_ms("timeout", opt(r, "timeout"), &patience_ms, &err) != 0 || rctl_connect(r, &err) != 0 ||
        look(&o, &err) != 0) {
        return rctl_fail(r, &err);
    }
    if (finish && !o.under_way) {
        rctl_note(r, "no rotation of the CA is under way; `rctl cert rotate-ca` begins one");
        return EXIT_FAILED;
    }
    const char *old = o.ca;
    struct value *params = value_map(&r->arena);
    value_set(&r->arena, params, "replaces", value_cstr(&r->arena, old));
    value_set(&r->arena, params, "finish", value_bool(&r->arena, finish));
    value_set(&r->arena, params, "hold", value_bool(&r->arena, hold));
    if ((!o.under_way || finish || hold) && ask(&o, params, &begun, &err) != 0) {
        return rctl_fail(r, &err);
    }
    if (opt_flag(r, "no-wait")) {
        fprintf(r->out, "the CA of the cluster is being replaced\n");
        rctl_note(r, "`rctl cert status` shows how far it is");
        return EXIT_DONE;
    }
    if (begun && look(&o, &err) != 0) {
        return rctl_fail(r, &err);
    }
    int code = follow(&o, patience_ms);
    if (code == EXIT_DONE && !o.under_way) {
        fprintf(r->out, "the CA of the cluster is now %s\n", o.ca);
        rctl_note(r,
                  "the former one, %s, counts no more. Join tokens that were made before name it: make new ones; and "
                  "make a new backup (rctl backup save)",
                  old);
    }
    return code;
}

static const struct option_row rotate_options[] = {
    {"finish", 0, OPTION_FLAG, NULL, NULL, NULL,
     "wait no more for masters that do not answer, nor for nodes and users with old certificates"},
    {"hold", 0, OPTION_FLAG, NULL, NULL, NULL, "give users time to renew: it goes on with --finish"},
    {"no-wait", 0, OPTION_FLAG, NULL, NULL, NULL, "begin, and do not wait for the end"},
    {"timeout", 0, OPTION_VALUE, WAIT_DEFAULT, NULL, "TIME", "how long to wait for the end; it goes on without"},
};

const struct command cert_rotate_ca = {
    .name = "rotate-ca",
    .usage = "[--hold] [--finish] [--no-wait]",
    .summary = "Give the cluster another CA; what the old one has signed counts no more at the end",
    .examples = "  # a master's disk was stolen: remove the master, then\n"
                "  rctl cert rotate-ca\n"
                "  # with time for all users to run rctl once\n"
                "  rctl cert rotate-ca --hold\n"
                "  rctl cert rotate-ca --finish\n",
    .options = rotate_options,
    .options_count = ARRAY_SIZE(rotate_options),
    .run = run_rotate,
};
