def write_report(folder): return "report"
