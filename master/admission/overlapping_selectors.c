/* Another workload that would take its pods, or whose pods it would take: it is said (controllers/rivals.h). */
#include "controllers/rivals.h"
#include "master/admission/row.h"

static int check(const struct admission *ad, const struct admission_change *c, struct error *err)
{
    (void)err;
    struct rival r = {0};
    const struct object *now = c->now;
    if (ad->warnings != NULL && rival_matters(c->old, now)) {
        r = rival_find(ad->tip, ad->arena, now);
    }
    if (r.other != NULL) {
        const char *whose = arena_printf(ad->arena, "%s \"%.*s\"", now->kind->name, STR_ARG(now->name));
        admit_warn(ad, value_strf(ad->arena, "%s%s%s", ad->many ? whose : "", ad->many ? ": " : "",
                                  rival_text(ad->arena, now, &r)));
    }
    return 0;
}

const struct admission_row admission_overlapping_selectors = {
    .name = "OverlappingSelectors",
    .kinds_told = "what chooses pods of its own",
    .operations = ADMISSION_CREATE | ADMISSION_UPDATE,
    .help = "Warns of a workload whose selector chooses another one's pods.",
    .check = check,
};
