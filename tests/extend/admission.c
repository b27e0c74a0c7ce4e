/* A row of admission: widgets do not shout. */
#include "master/admission/row.h"

static int check(const struct admission *ad, const struct admission_change *c, struct error *err)
{
    (void)ad;
    return str_is(mp_str(mp_get(object_spec(c->now), "text")), "HELLO")
               ? error_set_field(err, ERR_FORBIDDEN, "spec.text", "widgets do not shout")
               : 0;
}

const struct admission_row admission_quiet_widgets = {
    .name = "QuietWidgets",
    .kinds = {KIND_WIDGET},
    .operations = ADMISSION_CREATE | ADMISSION_UPDATE,
    .help = "Widgets do not shout.",
    .check = check,
};
