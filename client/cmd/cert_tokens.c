/* rctl cert rotate-tokens: another key for tokens of service accounts. */
#include "client/cmd/cert.h"
#include "client/cmd/common.h"

static int run_rotate_tokens(struct rctl *r)
{
    struct error err = {0};
    CLEANUP_REPLY struct api_reply reply = {0};
    if (rctl_connect(r, &err) != 0 || api_read(r->api, "account.rotate", value_map(&r->arena), &reply, &err) != 0) {
        return rctl_fail(r, &err);
    }
    fprintf(r->out, "another key signs tokens of service accounts\n");
    rctl_note(
        r, "it does in %lld s, when all masters know it; tokens of the former keys are good until their time is over",
        (long long)mp_int(mp_get(reply.result, "signsAfterSeconds"), 0));
    return EXIT_DONE;
}

const struct command cert_rotate_tokens = {
    .name = "rotate-tokens",
    .usage = "",
    .summary = "Another key signs tokens of service accounts",
    .examples = "  rctl cert rotate-tokens\n",
    .run = run_rotate_tokens,
    .wordless = true,
};
