"""The maker of docs/tour.md and its pictures: `invoke tour`."""


class TourError(Exception):
    """The tour cannot be made; the text tells the developer why."""
