"""Altitude of the sun, and day, dawn, dusk and night.

Source: the low-precision formulas for the sun in The Astronomical Almanac (page C5), with the Greenwich mean sidereal
time of J. J. Michalsky, "The Astronomical Almanac's algorithm for approximate solar position (1950-2050)", Solar Energy
40(3), 1988. Between 1950 and 2050 the altitude is right to about 0.01 degrees.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

LIGHTS = ("day", "dawn", "dusk", "night")
SUNRISE = -0.833  # degrees: the upper edge of the sun is at the horizon, with the refraction of the air
NIGHT = -12.0  # degrees: end of nautical twilight
_J2000 = 946728000.0  # noon of 1 January 2000, in seconds since 1970
_DAY = 86400.0  # s


def sun_altitude(
    seconds: ArrayLike, latitude: ArrayLike, longitude: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the altitude of the sun's centre, without refraction, and whether it rises.

    Parameters
    ----------
    seconds
        Time in seconds since 1970, UTC, of any shape.
    latitude, longitude
        Degrees, positive to the north and to the east.

    Returns
    -------
    altitude
        Degrees above the horizon.
    rises
        Whether it is before the sun's highest point of the day.
    """
    days = (np.asarray(seconds, np.float64) - _J2000) / _DAY
    anomaly = np.radians(357.528 + 0.9856003 * days)
    mean_longitude = 280.460 + 0.9856474 * days
    ecliptic = np.radians(mean_longitude + 1.915 * np.sin(anomaly) + 0.020 * np.sin(2 * anomaly))
    obliquity = np.radians(23.439 - 4e-7 * days)
    ascension = np.arctan2(np.cos(obliquity) * np.sin(ecliptic), np.cos(ecliptic))
    declination = np.arcsin(np.sin(obliquity) * np.sin(ecliptic))
    hours = 6.697375 + 0.0657098242 * days + (days + 0.5) % 1 * 24  # sidereal time at Greenwich
    hour_angle = np.radians(15 * hours + np.asarray(longitude, np.float64)) - ascension
    north = np.radians(np.asarray(latitude, np.float64))
    sine = np.sin(declination) * np.sin(north) + np.cos(declination) * np.cos(north) * np.cos(hour_angle)
    return np.degrees(np.arcsin(np.clip(sine, -1, 1))), np.asarray(np.sin(hour_angle) < 0)


def light(seconds: ArrayLike, latitude: ArrayLike, longitude: ArrayLike) -> NDArray[np.int8]:
    """Return day, dawn, dusk or night as an index into `LIGHTS`; the parameters are those of `sun_altitude`.

    Dawn and dusk are between night, which has the sun more than 12 degrees below the horizon, and day, when a part of
    the sun is above it.
    """
    altitude, rises = sun_altitude(seconds, latitude, longitude)
    index = np.where(altitude >= SUNRISE, 0, np.where(altitude < NIGHT, 3, np.where(rises, 1, 2)))
    return index.astype(np.int8)
