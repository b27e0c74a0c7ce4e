/* Something that masters do by themselves in phases (another CA, another key that seals): it is begun by a request, and
 * this command looks how far it is, says it, and waits for the end. */
#ifndef CLIENT_CMD_CERT_FOLLOW_H
#define CLIENT_CMD_CERT_FOLLOW_H

#include "client/cmd/rctl.h"

#define CERT_FOLLOW_PATIENCE "10m" /* default of --timeout */

struct cert_phase {
    const char *phase, *words;
};
struct cert_follow {
    struct rctl *r;
    const char *look;   /* the method that tells how far it is */
    const char *member; /* where its answer tells: {phase, waiting: [texts]}; not there: nothing is under way */
    const char *finish; /* the command that waits for nobody any more */
    const struct cert_phase *phases;
    unsigned phases_count;
    /* Each answer, and, may be NULL, once between two looks: *code >= 0 is what the command ends with. */
    void (*take)(struct cert_follow *f, struct mp answer);
    void (*between)(struct cert_follow *f, int *code);
    /* As it was last told; of the arena. */
    bool under_way;
    const char *phase, *waiting; /* waiting: lines */
    /* What has been said of it. */
    const char *told_phase, *told_waiting;
    int64_t phase_ms;
};

const char *cert_text(struct arena *a, struct mp map, const char *key); /* "" if it is not there */
int cert_follow_look(struct cert_follow *f, struct error *err);
/* The request that begins or changes it; the answer is taken as one of `look`. *begun: as it says. */
int cert_follow_ask(struct cert_follow *f, const char *method, struct value *params, bool *begun, struct error *err);
/* Until its end, or for so long: the command's exit code. Having failed it has said why. */
int cert_follow_wait(struct cert_follow *f, int64_t patience_ms);

#endif
