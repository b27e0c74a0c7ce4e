/* The zone that a CronJob names must be there. Source: Kubernetes' validation of spec.timeZone. */
#include "master/admission/row.h"
#include "master/zones.h"

static struct str zone_of(const struct object *o)
{
    return o == NULL ? STR_NONE : mp_str(mp_get(object_spec(o), "timeZone"));
}

static int check(const struct admission *ad, const struct admission_change *c, struct error *err)
{
    struct str name = zone_of(c->now);
    struct error why = {0};
    bool is_utc = str_is(name, "UTC") || str_is(name, "Etc/UTC");
    if (ad->zones == NULL || name.n == 0 || is_utc || str_eq(name, zone_of(c->old)) ||
        zones_get(ad->zones, name, &why) != NULL) {
        return 0;
    }
    return error_set_field(err, ERR_INVALID, "spec.timeZone",
                           "CronJob \"%.*s\" is invalid: spec.timeZone: Invalid value: \"%.*s\": %s",
                           STR_ARG(c->now->name), STR_ARG(name), why.message);
}

const struct admission_row admission_time_zone = {
    .name = "CronJobTimeZone",
    .kinds = {KIND_CRONJOB},
    .operations = ADMISSION_CREATE | ADMISSION_UPDATE,
    .help = "The time zone that a CronJob names is one of the masters'.",
    .check = check,
};
