/* CronJobs on their way in: the zone that one names must be there. Source: Kubernetes' validation of spec.timeZone. */
#include "master/api/admission.h"
#include "master/zones.h"

static struct str zone_of(const struct object *o)
{
    return o == NULL ? STR_NONE : mp_str(mp_get(object_spec(o), "timeZone"));
}

int admit_time_zone(const struct admission *ad, const struct object *old, const struct object *now, struct error *err)
{
    struct str name = zone_of(now);
    struct error why = {0};
    bool is_utc = str_is(name, "UTC") || str_is(name, "Etc/UTC");
    if (ad->zones == NULL || name.n == 0 || is_utc || str_eq(name, zone_of(old)) ||
        zones_get(ad->zones, name, &why) != NULL) {
        return 0;
    }
    return error_set_field(err, ERR_INVALID, "spec.timeZone",
                           "CronJob \"%.*s\" is invalid: spec.timeZone: Invalid value: \"%.*s\": %s",
                           STR_ARG(now->name), STR_ARG(name), why.message);
}
