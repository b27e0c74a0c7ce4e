/* rctl cert rotate-ca: another CA for the cluster (master/auth/rotate.h). The masters do it; here it is begun,
 * looked at, and ended. */
#include <string.h>

#include "client/cmd/cert.h"
#include "client/cmd/cert_follow.h"
#include "client/cmd/common.h"
#include "client/cmd/renew.h"
#include "proto/pki/pki.h"

struct rotating {
    struct cert_follow f;
    const char *ca, *next;
    bool hold_over; /* nothing but the hold is waited for */
    bool warned;
};

static const struct cert_phase phases[] = {{"trust", "masters begin to trust the new CA"},
                                           {"sign", "nodes and users get certificates of the new CA"},
                                           {"switch", "masters get certificates of the new CA"}};

static struct rotating *rotating_of(struct cert_follow *f)
{
    return CONTAINER_OF(f, struct rotating, f);
}

static void take(struct cert_follow *f, struct mp answer)
{
    struct rotating *o = rotating_of(f);
    struct mp rotation = mp_get(answer, f->member);
    unsigned others = 0, holds = 0;
    o->ca = cert_text(&f->r->arena, answer, "ca");
    o->next = cert_text(&f->r->arena, rotation, "next");
    for (struct mp_iter it = mp_iter(mp_get(rotation, "waiting")); mp_next(&it);) {
        struct str s = mp_str(it.value);
        bool hold = s.n > 4 && memcmp(s.p, "you:", 4) == 0;
        holds += hold;
        others += !hold;
    }
    o->hold_over = holds > 0 && others == 0;
}

/* The connection we have is of the old CA, and ends with it. */
static int renew_own(struct rotating *o, struct error *err)
{
    struct rctl *r = o->f.r;
    int64_t until_s;
    int rc = renew_now(r, &until_s, err);
    if (rc != 0 && rc != ERR_CONFLICT) { /* a conflict: another rctl has renewed it in the file already */
        return rc;
    }
    api_free(TAKE_PTR(r->api));
    r->config_loaded = false;
    return rctl_connect(r, err);
}

static bool is_old(const struct rotating *o)
{
    char issuer[33];
    const struct config_target *t = &o->f.r->target;
    return o->f.under_way && strcmp(o->f.phase, "trust") != 0 &&
           pki_issuer(t->ca_pem, t->cert_pem, issuer, NULL) == 0 && strcmp(issuer, o->next) != 0;
}

static void between(struct cert_follow *f, int *code)
{
    struct rotating *o = rotating_of(f);
    struct error own = {0};
    if (o->hold_over) {
        rctl_note(f->r, "all that are known have certificates of the new CA; the others have time until: %s",
                  f->finish);
        *code = EXIT_DONE;
    } else if (!o->warned && is_old(o) && renew_own(o, &own) != 0) {
        rctl_note(f->r, "warning: your own certificate is not renewed, and will count no more: %s", own.message);
        o->warned = true;
        if (f->r->api == NULL) {
            *code = rctl_fail(f->r, &own);
        }
    }
}

static int run_rotate(struct rctl *r)
{
    struct rotating o = {.f = {.r = r,
                               .look = "cert.rotation",
                               .member = "rotation",
                               .finish = "rctl cert rotate-ca --finish",
                               .phases = phases,
                               .phases_count = ARRAY_SIZE(phases),
                               .take = take,
                               .between = between}};
    struct error err = {0};
    int64_t patience_ms;
    bool begun = false, finish = opt_flag(r, "finish"), hold = opt_flag(r, "hold");
    if (finish && hold) {
        return rctl_usage(r, "--hold and --finish are contrary");
    }
    if (args_duration_ms("timeout", opt(r, "timeout"), &patience_ms, &err) != 0 || rctl_connect(r, &err) != 0 ||
        cert_follow_look(&o.f, &err) != 0) {
        return rctl_fail(r, &err);
    }
    if (finish && !o.f.under_way) {
        rctl_note(r, "no rotation of the CA is under way; `rctl cert rotate-ca` begins one");
        return EXIT_FAILED;
    }
    const char *old = o.ca;
    struct value *params = value_map(&r->arena);
    value_set(&r->arena, params, "replaces", value_cstr(&r->arena, old));
    value_set(&r->arena, params, "finish", value_bool(&r->arena, finish));
    value_set(&r->arena, params, "hold", value_bool(&r->arena, hold));
    if ((!o.f.under_way || finish || hold) && cert_follow_ask(&o.f, "cert.rotate", params, &begun, &err) != 0) {
        return rctl_fail(r, &err);
    }
    if (opt_flag(r, "no-wait")) {
        fprintf(r->out, "the CA of the cluster is being replaced\n");
        rctl_note(r, "`rctl cert status` shows how far it is");
        return EXIT_DONE;
    }
    if (begun && cert_follow_look(&o.f, &err) != 0) {
        return rctl_fail(r, &err);
    }
    int code = cert_follow_wait(&o.f, patience_ms);
    if (code == EXIT_DONE && !o.f.under_way) {
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
     "wait no more for masters that do not answer, nor, once masters trust the new CA, for nodes and users"},
    {"hold", 0, OPTION_FLAG, NULL, NULL, NULL, "give users time to renew: it goes on with --finish"},
    {"no-wait", 0, OPTION_FLAG, NULL, NULL, NULL, "begin, and do not wait for the end"},
    {"timeout", 0, OPTION_VALUE, CERT_FOLLOW_PATIENCE, NULL, "TIME",
     "how long to wait for the end; it goes on without"},
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
    .wordless = true,
};
