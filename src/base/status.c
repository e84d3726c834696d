/* base/status.c - names and texts of the status codes, from the one table in mortar/status.h. */
#include "mortar/status.h"

const char *mortar_status_text(enum mortar_status status)
{
    switch (status) {
#define STATUS_TEXT(name, number, text)                                                            \
    case name:                                                                                     \
        return text;
        MORTAR_STATUS_TABLE(STATUS_TEXT)
#undef STATUS_TEXT
    }
    return "unknown status";
}

const char *mortar_status_name(enum mortar_status status)
{
    switch (status) {
#define STATUS_NAME(name, number, text)                                                            \
    case name:                                                                                     \
        return #name;
        MORTAR_STATUS_TABLE(STATUS_NAME)
#undef STATUS_NAME
    }
    return "MORTAR_E_?";
}
