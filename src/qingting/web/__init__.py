"""The web application for raters and study owners, and its REST API."""
