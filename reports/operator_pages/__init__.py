"""The operators' pages: a week's cohort with its reports, and the item bank."""

from reports.operator_pages.cohort_page import Troubles
from reports.operator_pages.pages import Page, cohort_pages, item_bank_page
from reports.operator_pages.publishing import publish_pages

__all__ = ["Page", "Troubles", "cohort_pages", "item_bank_page", "publish_pages"]
