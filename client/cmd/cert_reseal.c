/* rctl cert rotate-seal: another key for Secrets on masters' disks (master/auth/reseal.h). The masters do it; here it
 * is begun, looked at, and ended. */
#include "client/cmd/cert.h"
#include "client/cmd/cert_follow.h"
#include "client/cmd/common.h"

struct resealing {
    struct cert_follow f;
    const char *key; /* the id of the one that seals */
};

static const struct cert_phase phases[] = {
    {"spread", "masters get the new key"},
    {"use", "the new key seals"},
    {"clean", "masters remove from their disks what the old key has sealed"},
    {"drop", "masters drop the old key"},
};

static void take(struct cert_follow *f, struct mp answer)
{
    CONTAINER_OF(f, struct resealing, f)->key = cert_text(&f->r->arena, answer, "key");
}

static int run_reseal(struct rctl *r)
{
    struct resealing o = {.f = {.r = r,
                                .look = "cert.resealing",
                                .member = "resealing",
                                .finish = "rctl cert rotate-seal --finish",
                                .phases = phases,
                                .phases_count = ARRAY_SIZE(phases),
                                .take = take}};
    struct error err = {0};
    int64_t patience_ms;
    bool begun = false, finish = opt_flag(r, "finish");
    if (args_duration_ms("timeout", opt(r, "timeout"), &patience_ms, &err) != 0 || rctl_connect(r, &err) != 0 ||
        cert_follow_look(&o.f, &err) != 0) {
        return rctl_fail(r, &err);
    }
    if (finish && !o.f.under_way) {
        rctl_note(r, "the key that seals is not being replaced; `rctl cert rotate-seal` begins it");
        return EXIT_FAILED;
    }
    struct value *params = value_map(&r->arena);
    value_set(&r->arena, params, "replaces", value_cstr(&r->arena, o.key));
    value_set(&r->arena, params, "finish", value_bool(&r->arena, finish));
    if ((!o.f.under_way || finish) && cert_follow_ask(&o.f, "cert.reseal", params, &begun, &err) != 0) {
        return rctl_fail(r, &err);
    }
    if (opt_flag(r, "no-wait")) {
        fprintf(r->out, "the key that seals Secrets is being replaced\n");
        rctl_note(r, "`rctl cert status` shows how far it is");
        return EXIT_DONE;
    }
    int code = begun && cert_follow_look(&o.f, &err) != 0 ? rctl_fail(r, &err) : cert_follow_wait(&o.f, patience_ms);
    if (code == EXIT_DONE) {
        fprintf(r->out, "the key that seals Secrets is now %s\n", o.key);
        rctl_note(r, "no master's disk holds anything any more that the former one has sealed, unless a master was not "
                     "waited for");
    }
    return code;
}

static const struct option_row reseal_options[] = {
    {"finish", 0, OPTION_FLAG, NULL, NULL, NULL,
     "wait no more for masters that do not answer; they come back as new ones if they miss the new key"},
    {"no-wait", 0, OPTION_FLAG, NULL, NULL, NULL, "begin, and do not wait for the end"},
    {"timeout", 0, OPTION_VALUE, CERT_FOLLOW_PATIENCE, NULL, "TIME",
     "how long to wait for the end; it goes on without"},
};

const struct command cert_rotate_seal = {
    .name = "rotate-seal",
    .usage = "[--finish] [--no-wait]",
    .summary = "Replace the key that seals Secrets on masters' disks, and remove what the old one has sealed",
    .examples = "  # a master's disk was stolen: remove the master, then\n"
                "  rctl cert rotate-seal\n"
                "  # it was the only voter's, or a majority's, or ran in strangers' hands, or a backup was stolen\n"
                "  # with its passphrase: the CA first\n"
                "  rctl cert rotate-ca && rctl cert rotate-seal\n"
                "  # a master that is away is not to be waited for\n"
                "  rctl cert rotate-seal --finish\n",
    .options = reseal_options,
    .options_count = ARRAY_SIZE(reseal_options),
    .run = run_reseal,
    .wordless = true,
};
